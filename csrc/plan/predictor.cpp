#include "predictor.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <optional>

#include "../cpu/dispatch.h"
#include "../cpu/pool.h"

namespace onepass {
namespace {

// Below this much work other Python threads would gain less than a switch costs; helpers take part
// only if they are awake, as in a loop of predictions.
constexpr double kBrief = 1'000'000;
// Few rows wait for their weights: reading one takes as long as so many multiply-adds. A single row
// through 110,000 of them is worth a second thread, less what the wait between two calls costs.
constexpr double kReadWork = 4.0;
constexpr double kWaitWork = 10'000;
// Every block reads all weights again: from this size on they would come from memory each time.
constexpr int64_t kWeightsInCache = int64_t{8} << 20;
// Blocks take milliseconds at most, since Ctrl-C waits for the end of one.
constexpr double kLongBlock = 500'000'000;
constexpr int64_t kMostRows = 128, kFewestRows = 32;
constexpr int64_t kStepRows = 512, kMostBrought = 32;

BufferId root_of(const Program& program, BufferId id) {
  while (program.buffer(id).view_of != kNone) id = program.buffer(id).view_of;
  return id;
}

std::vector<BufferId> sharing(const Program& program, BufferId with) {
  std::vector<BufferId> found;
  for (BufferId id = 0; id < program.n_buffers(); ++id) {
    if (root_of(program, id) == root_of(program, with)) found.push_back(id);
  }
  return found;
}

// Blocks that members take one after another until none is left.
class Blocks {
 public:
  Blocks(int64_t rows, int64_t each) : rows_(rows), each_(each) {}
  // False once all are taken or `stop` was called.
  bool take(Range* rows) {
    rows->begin = next_.fetch_add(each_, std::memory_order_relaxed);
    rows->end = std::min(rows->begin + each_, rows_);
    return rows->begin < rows_ && !stopped();
  }
  void stop() { stopped_.store(true, std::memory_order_relaxed); }
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }

 private:
  const int64_t rows_, each_;
  std::atomic<int64_t> next_{0};
  std::atomic<bool> stopped_{false};
};

// Asks for interrupts, but not often: the answer takes Python's lock.
class Watch {
 public:
  explicit Watch(const std::function<bool()>& interrupted) : interrupted_(interrupted) {}
  bool interrupted() {
    const auto now = Clock::now();
    if (!interrupted_ || now - asked_ < kEvery) return false;
    asked_ = now;
    return interrupted_();
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kEvery = std::chrono::milliseconds(50);
  const std::function<bool()>& interrupted_;
  Clock::time_point asked_ = Clock::now();
};

}  // namespace

Predictor::Predictor(const Program& program, BufferId source, BufferId target, bool float64)
    : program_(program),
      type_(float64 ? SourceType::kFloat64 : SourceType::kFloat32),
      inputs_(sharing(program, source)),
      results_(sharing(program, target)),
      gather_(program.calls().front().call.get()) {
  const BufferSpec& x = program.buffer(source);
  const BufferSpec& y = program.buffer(target);
  item_size_ = x.item_size;
  sample_bytes_ = x.rows_per_sample * x.cols * x.item_size;
  one_row_ = inputs_.size() == 1 && x.rows_per_sample == 1;
  result_bytes_ = y.rows_per_sample * y.cols * y.item_size;
  result_stride_ = y.cols * y.item_size;
  const auto& calls = program.calls();
  for (std::size_t c = 1; c + 1 < calls.size(); ++c) calls_.push_back(calls[c].call.get());
  work_ = 0.0;
  for (const auto& entry : calls) work_ += entry.call->work(1);
  int64_t weights = 0, most_rows = 1;
  for (const BufferSpec& spec : program.buffers()) {
    if (spec.fixed == nullptr) continue;
    weights += spec.rows * spec.stride * spec.item_size;
    reading_ += kReadWork * static_cast<double>(spec.rows * spec.cols);
    most_rows = std::max(most_rows, spec.rows_per_sample);
  }
  block_rows_ = std::max(int64_t{1}, kMostRows / most_rows);
  const bool long_blocks = work_ * static_cast<double>(block_rows_) > kLongBlock;
  if (weights > kWeightsInCache || long_blocks) block_rows_ = 0;
}

Predictor::Cut Predictor::cut(int64_t rows) const {
  if (program_.device() != nullptr) return {};
  const double work = work_ * static_cast<double>(rows);
  if (work < kBrief) return {std::min(rows, kMostRows), 1, true};
  if (block_rows_ == 0) return {};
  const int n = threads();
  // Small enough that every thread gets one, large enough that reading the weights pays.
  const int64_t each = ((rows + n - 1) / n + 7) / 8 * 8;
  const int64_t block = std::min(block_rows_, std::max(each, kFewestRows));
  const int64_t blocks = (rows + block - 1) / block;
  if (blocks == 1 && n > 1) return {};
  return {block, static_cast<int>(std::min<int64_t>(n, blocks)), false};
}

std::unique_ptr<Predictor::Lane> Predictor::new_lane(const Cut& cut) const {
  return std::make_unique<Lane>(program_.buffers(), inputs_.front(), cut.rows);
}

// Where one row stride describes what the calls read.
bool Predictor::reads_in_place(const Source& x) const {
  return x.type == type_ && (one_row_ || x.stride == sample_bytes_);
}

void Predictor::bind_input(Lane& lane, char* rows, int64_t stride) const {
  for (const BufferId id : inputs_) {
    lane.workspace.bind(id, rows);
    lane.specs[id].stride = one_row_ ? stride : lane.specs[id].cols;
  }
}

// Points the lane's buffers at these rows of the caller's arrays.
void Predictor::bind(Lane& lane, const Prediction& p, Range rows) const {
  for (const BufferId id : results_) {
    lane.workspace.bind(id, p.result + rows.begin * result_bytes_);
    lane.specs[id].stride = lane.specs[id].cols;
  }
  if (reads_in_place(p.x)) {
    auto* x = static_cast<char*>(const_cast<void*>(p.x.data));  // which no call writes
    bind_input(lane, x + rows.begin * p.x.stride, p.x.stride / item_size_);
  } else {
    bind_input(lane, static_cast<char*>(lane.own_input), program_.buffer(inputs_.front()).stride);
    lane.replay.sources[0] = p.x;
  }
  lane.backwards = !lane.backwards;
}

// One member's part of a block that was bound.
void Predictor::run_block(const Lane& lane, const Prediction& p, const Kernels& table, Range rows,
                          Team& team) const {
  RuleNumbers none;
  bool failed = false;  // no call of a predictor can fail
  Frame frame{lane.specs, lane.workspace, table, lane.replay, none, failed, {}};
  frame.step.first = rows.begin;
  frame.step.rows = rows.end - rows.begin;
  team.backwards = lane.backwards;
  if (!reads_in_place(p.x)) {
    gather_->run(frame, team);
    team.sync();
  }
  for (const Call* call : calls_) {
    if (call != calls_.front()) team.sync();
    call->run(frame, team);
  }
}

bool Predictor::run(const Prediction& p, const Cut& cut, Lanes lanes) const {
  const Kernels& table = kernels();  // here, where a bad ONEPASS_ISA may still throw
  if (cut.brief && p.rows <= cut.rows) {
    const Range rows{0, p.rows};
    bind(*lanes[0], p, rows);
    const double rows_work = work_ * static_cast<double>(p.rows);
    // Of a table only as much is read as is computed with.
    const double read = std::min(reading_, kReadWork * rows_work);
    const double work = rows_work + read - kWaitWork * static_cast<double>(calls_.size());
    const auto job = [&](Team& team) { run_block(*lanes[0], p, table, rows, team); };
    run_team(work, [&job](Team& team) { job(team); });
    return true;
  }
  Blocks blocks(p.rows, cut.rows);
  std::optional<Watch> watch;
  if (!cut.brief) watch.emplace(p.interrupted);
  const auto job = [&](const Team& team) {
    if (team.rank >= static_cast<int>(lanes.size())) return;
    Lane& lane = *lanes[team.rank];
    Team alone{0, 1, nullptr, team.scratch};
    Range rows{};
    while (blocks.take(&rows)) {
      bind(lane, p, rows);
      run_block(lane, p, table, rows, alone);
      if (watch && team.rank == 0 && watch->interrupted()) blocks.stop();
    }
  };
  const double work = cut.brief ? 0.0 : work_ * static_cast<double>(p.rows);
  // One reference: what a std::function holds without allocating.
  run_team(work, [&job](Team& team) { job(team); });
  return !blocks.stopped();
}

int64_t Predictor::run_steps(const Prediction& p, int64_t done, double seconds) const {
  std::vector<Step> steps;
  // A GPU is brought all rows of a call before the first step.
  const int64_t most = program_.device() == nullptr ? p.rows : done + kMostBrought * kStepRows;
  for (int64_t first = done; first < std::min(p.rows, most); first += kStepRows) {
    steps.push_back({first, std::min(kStepRows, p.rows - first)});
  }
  Replay replay;
  replay.sources.push_back(p.x);
  replay.outputs.push_back({p.result, result_stride_});
  replay.steps = steps.data();
  replay.n_steps = static_cast<int64_t>(steps.size());
  replay.seconds = seconds;
  replay.interrupted = p.interrupted;
  int64_t ran = 0;
  program_.run(replay, ran);
  return std::min(p.rows, done + ran * kStepRows);
}

}  // namespace onepass
