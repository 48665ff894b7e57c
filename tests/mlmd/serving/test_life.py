"""A server that is told to end does, whatever its main thread does at that moment."""

from __future__ import annotations

import subprocess
import sys

# One wait for each step of a wait: the nth time, the signal comes at the nth step. A wait without steps left is told by a timer.
WAITS = """
import os, signal, sys
from mlmd.serving.life import told_to_end

def tell(*_):
    os.kill(os.getpid(), signal.SIGTERM)

def told_at(step):
    steps, late = 0, []
    def trace(frame, event, argument):
        nonlocal steps
        steps += 1
        if steps == step:
            tell()
        return trace
    signal.signal(signal.SIGALRM, lambda *_: (late.append(1), tell()))
    with told_to_end() as wait:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        sys.settrace(trace)
        try:
            wait()
        finally:
            sys.settrace(None)
            signal.setitimer(signal.ITIMER_REAL, 0)
    return not late

step = 1
while told_at(step):
    step += 1
print(step)
"""


def test_a_signal_at_any_step_ends_the_wait() -> None:
    done = subprocess.run([sys.executable, "-c", WAITS], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 1


# The signal interrupts another thread while the main thread waits in the kernel, which therefore does not see it.
ELSEWHERE = """
import signal, threading, time
from mlmd.serving.life import told_to_end

def tell():
    time.sleep(0.5)  # By then it waits. If not, the test proves less, but does not fail.
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

with told_to_end() as wait:
    threading.Thread(target=tell).start()
    wait()
"""


def test_a_signal_that_comes_to_another_thread_ends_the_wait() -> None:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
