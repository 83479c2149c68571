"""Containers run under podman and docker: what goes in, what comes out, and how they end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from .engines import Engine
from .place import IMAGE, Place


def test_run_passes_output_environment_user_and_exit_code(engine: Engine) -> None:
    script = "echo out; echo err >&2; echo $WORD; id -u; id -g; id -G; pwd; exit 3"
    done = engine.run(
        *("--rm", "-e", "WORD=a word", "--user", "1000:1000", "--group-add", "29", "-w", "/tmp"),
        *(IMAGE, "sh", "-c", script),
        check=False,
    )
    assert done.returncode == 3
    assert done.stdout.splitlines() == ["out", "a word", "1000", "1000", "1000 29", "/tmp"]
    assert done.stderr == "err\n"


def test_run_reads_its_standard_input(engine: Engine) -> None:
    done = engine.run("--rm", "-i", IMAGE, "tr", "a-z", "A-Z", stdin=b"words\n" * 20000)
    assert done.stdout == "WORDS\n" * 20000


def test_an_init_of_the_engine_s_own_runs_first(engine: Engine) -> None:
    done = engine.run(
        "--rm", "--init", IMAGE, "sh", "-c", "cat /proc/1/cmdline | tr '\\0' ' '; echo $$"
    )
    first, pid = done.stdout.rsplit(" ", 1)
    assert "init" in first
    assert "sh -c" in first
    assert int(pid) > 1


def test_a_signal_s_death_is_the_exit_code(engine: Engine) -> None:
    # PID 1 without a handler ignores SIGTERM, but none can ignore SIGKILL from outside.
    engine.run("-d", "--name", "killed", IMAGE, "sleep", "1000")
    engine("kill", "--signal", "KILL", "killed")
    assert engine.wait("killed", "exited")["ExitCode"] == 137


def test_detached_logs_inspect_stop_start_restart_remove(engine: Engine) -> None:
    script = "trap 'echo ends; exit 7' TERM; echo begins; while :; do sleep 0.05; done"
    engine.run("-d", "--name", "web", IMAGE, "sh", "-c", script)
    state = engine.state("web")
    assert state["Status"] == "running"
    assert b"trap" in Path(f"/proc/{state['Pid']}/cmdline").read_bytes()
    assert (
        IMAGE in engine("ps", "--format", "{{.Image}}").stdout or "busybox" in engine("ps").stdout
    )
    wait_for_line(engine, "begins")
    engine("stop", "-t", "20", "web")
    assert engine.state("web")["ExitCode"] == 7
    assert engine("logs", "web").stdout.split() == ["begins", "ends"]
    engine("start", "web")
    first = engine.state("web")["Pid"]
    wait_for_line(engine, "begins\nends\nbegins")
    engine("restart", "-t", "20", "web")
    assert engine.wait("web", "running")["Pid"] not in (0, first)
    engine("rm", "-f", "web")
    assert not Path(f"/proc/{first}").exists()


def wait_for_line(engine: Engine, text: str) -> None:
    import time

    for _ in range(200):
        if text in engine("logs", "web").stdout:
            return
        time.sleep(0.05)
    raise AssertionError(f"no {text!r} in the log")


def test_stop_kills_what_does_not_listen(engine: Engine) -> None:
    engine.run("-d", "--name", "deaf", IMAGE, "sh", "-c", "trap '' TERM; sleep 1000")
    engine("stop", "-t", "1", "deaf")
    assert engine.state("deaf")["ExitCode"] == 137


def test_kill_sends_the_signal_that_was_asked_for(engine: Engine) -> None:
    script = "trap 'echo usr1; exit 4' USR1; echo ready; while :; do sleep 0.05; done"
    engine.run("-d", "--name", "web", IMAGE, "sh", "-c", script)
    wait_for_line(engine, "ready")
    engine("kill", "-s", "USR1", "web")
    assert engine.wait("web", "exited")["ExitCode"] == 4
    assert "usr1" in engine("logs", "web").stdout


def test_pause_stops_all_and_unpause_goes_on(engine: Engine) -> None:
    engine.run("-d", "--name", "web", IMAGE, "sh", "-c", "while :; do date +%N; sleep 0.05; done")
    engine("pause", "web")
    assert engine.state("web")["Status"] == "paused"
    before = engine("logs", "web").stdout
    assert Path(f"/proc/{engine.state('web')['Pid']}/stat").read_text().split()[2] in "DS"
    assert engine("exec", "web", "true", check=False).returncode != 0
    assert engine("logs", "web").stdout == before
    engine("unpause", "web")
    assert engine.state("web")["Status"] == "running"
    engine("kill", "web")


def test_the_death_of_the_process_from_outside_is_noticed(engine: Engine) -> None:
    engine.run("-d", "--name", "web", IMAGE, "sleep", "1000")
    os.kill(engine.state("web")["Pid"], signal.SIGKILL)
    assert engine.wait("web", "exited")["ExitCode"] == 137


def test_create_then_start(engine: Engine) -> None:
    engine(*engine.create("--name", "later", IMAGE, "echo", "hello", verb="create"))
    assert engine.state("later")["Status"] == "created"
    assert engine("start", "--attach", "later").stdout == "hello\n"
    # A second start makes everything anew.
    assert engine("start", "--attach", "later").stdout == "hello\n"


def test_copy_into_and_out_of_a_running_container(engine: Engine, place: Place) -> None:
    engine.run("-d", "--name", "web", IMAGE, "sleep", "1000")
    source = place.base / "source"
    source.write_text("copied\n")
    engine("cp", str(source), "web:/tmp/there")
    assert engine("exec", "web", "cat", "/tmp/there").stdout == "copied\n"
    engine("cp", "web:/tmp/there", f"{source}.back")
    assert Path(f"{source}.back").read_text() == "copied\n"


def test_top_and_stats_see_the_processes(engine: Engine) -> None:
    engine.run("-d", "--name", "web", IMAGE, "sh", "-c", "sleep 1000 & sleep 1001; wait")
    top = engine("top", "web").stdout
    assert "sleep 1000" in top
    assert "sleep 1001" in top
    stats = engine(
        "stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", "web"
    ).stdout
    name, pids, memory, *_ = stats.split()
    assert (name, pids) == ("web", "3")
    assert float(memory.rstrip("kKMGiB")) > 0


def test_a_health_check_is_an_exec(engine: Engine) -> None:
    check = (
        "--health-cmd",
        "test -e /tmp/well",
        "--health-interval",
        "1s",
        "--health-retries",
        "1",
    )
    engine.run("-d", "--name", "web", *check, IMAGE, "sh", "-c", "touch /tmp/well; sleep 1000")
    if engine.name == "podman":  # podman's timer is systemd's; without one, one asks
        assert engine("healthcheck", "run", "web", check=False).returncode == 0
        engine("exec", "web", "rm", "/tmp/well")
        assert engine("healthcheck", "run", "web", check=False).returncode == 1
        return
    engine("exec", "web", "ls", "/tmp/well")
    wait_for_health(engine, "healthy")
    engine("exec", "web", "rm", "/tmp/well")
    wait_for_health(engine, "unhealthy")


def wait_for_health(engine: Engine, status: str) -> None:
    import time

    for _ in range(200):
        if engine.state("web")["Health"]["Status"] == status:
            return
        time.sleep(0.05)
    raise AssertionError(engine.state("web")["Health"])
