"""A plugin of pytest's that tells at once how a test failed.

pytest does so at its end, which a run that is stopped by its limit may not come to: its processes
beside each other wait for the one that is in a kernel.
"""

from __future__ import annotations

import pytest


class AtOnce:
    """Prints what a test that failed says."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    @pytest.hookimpl(trylast=True)  # behind the line that it failed
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if report.failed and terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(report.longreprtext)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the process that tells what others found
        config.pluginmanager.register(AtOnce(config))
