// Every update rule, once. Adding one: its header in rules/, its name here.
#pragma once

#include "rules/adadelta.h"
#include "rules/adafactor.h"
#include "rules/adagrad.h"
#include "rules/adam.h"
#include "rules/adam_hd.h"
#include "rules/adamax.h"
#include "rules/asgd.h"
#include "rules/ftrl.h"
#include "rules/lamb.h"
#include "rules/lars.h"
#include "rules/lion.h"
#include "rules/muon.h"
#include "rules/nadam.h"
#include "rules/radam.h"
#include "rules/rmsprop.h"
#include "rules/rprop.h"
#include "rules/schedule_free.h"
#include "rules/sgd.h"
#include "rules/sgd_hd.h"

namespace onepass::math {
namespace {

using Rules =
    List<Sgd, Momentum, Nesterov, Adam, AdamW, AmsGrad, Adamax, Nadam, RAdam, ScheduleFreeAdamW,
         Rmsprop, RmspropCentered, RmspropMomentum, RmspropCenteredMomentum, Adagrad, Adadelta,
         Lion, Ftrl, FtrlPower, Rprop, Asgd, Muon, Lars, Lamb, SgdHd, AdamHd>;

// Rules with kernels of their own. Their ids go on from those of the others.
using TensorRules = List<Adafactor>;
using AllRules = Join<Rules, TensorRules>;

}  // namespace
}  // namespace onepass::math
