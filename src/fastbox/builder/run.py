"""RUN: a command in a container of its own over the files so far; what it wrote becomes a layer."""

from __future__ import annotations

from fastbox.builder.graph import PROXIES
from fastbox.builder.platform import check_runnable
from fastbox.builder.state import key_of
from fastbox.builder.telling import Canceled
from fastbox.errors import BuildFailed, InvalidArgument, StateConflict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.builder.build import Build
    from fastbox.builder.course import Course
    from fastbox.builder.runmounts import Mounts
    from fastbox.builder.state import State
    from fastbox.builder.telling import Vertex
    from fastbox.dockerfile.instructions import Run
    from fastbox.types import ImageConfig, RunOptions

# The same wherever and whenever it is built.
HOSTNAME = "buildkitsandbox"


def step(build: Build, course: Course, state: State, run: Run) -> None:
    """Run it, as a step of its own.

    Raises:
        BuildFailed: It ended with a code other than 0.
        InvalidArgument: A mount, or a right that nobody allowed.
    """
    check_runnable(str(state.document.get("architecture", "")))
    network, insecure = _rights(build, run)
    argv = _argv(state, run)
    args = {
        name: value
        for name, value in state.args.items()
        if value is not None and name not in state.env
    }

    def mounts() -> Mounts:
        from fastbox.builder.runmounts import Mounts

        return Mounts(build, course, state, run.mounts)

    def keys() -> list[str]:
        return [
            key_of(
                "run", state.key, argv, run.script, sorted(state.env.items()), sorted(args.items()),
                state.user, state.workdir, mounts().keys() if run.mounts else [], network, insecure,
                build.epoch,
            )
        ]  # fmt: skip

    def make(vertex: Vertex, home: str) -> bool:
        with mounts() as mounted:
            mounted.prepare()
            env = [
                f"{name}={value}"
                for name, value in {**_proxies(build), **args, **state.env}.items()
                if name not in mounted.env
            ]
            if run.script:
                mounted.add_script(run.command.line, run.script)
            options = _options(build, course, state, network, insecure).replace(
                argv=tuple(argv), env=(*env, *mounted.places), mounts=mounted.mounts
            )
            code = _run(build, state, options, mounted, vertex, home)
            mounted.remove_stubs(home + "/tree")
        if code:
            raise BuildFailed(
                f'process "{" ".join(argv)}" did not complete successfully: exit code: {code}',
                exit_status=code,
                tail=vertex.tail.decode("utf-8", "replace"),
                step=run.where.text,
                line=run.where.line,
            )
        return True

    count = "".join(f" {name}={value}" for name, value in args.items() if name not in PROXIES)
    shown = [name for name in args if name not in PROXIES]
    prefix = f"|{len(shown)}{count} " if shown else ""
    course.layer(state, run, f"RUN {prefix}{' '.join(argv)}", keys, make)


def _argv(state: State, run: Run) -> list[str]:
    """The command; the shell form by the stage's shell."""
    if not run.command.shell:
        return list(run.command.argv)
    return [*state.shell, run.command.line]


def _rights(build: Build, run: Run) -> tuple[str, bool]:
    """The network, and whether it may do anything: both only if the caller allows it."""
    options = build.options
    network = run.network if run.network not in ("", "default") else options.network
    if run.network == "host" and options.network != "host" and "network.host" not in options.allow:
        raise InvalidArgument(
            "RUN --network=host is not allowed", hint="allow it with --allow network.host"
        )
    insecure = run.security == "insecure"
    if insecure and "security.insecure" not in options.allow:
        raise InvalidArgument(
            "RUN --security=insecure is not allowed", hint="allow it with --allow security.insecure"
        )
    return network if network not in ("", "default") else "bridge", insecure


def _proxies(build: Build) -> dict[str, str]:
    """Those that were given, in both spellings: programs look for one or the other."""
    given = {name: value for name, value in build.given.items() if name in PROXIES}
    other = {name.lower(): value for name, value in given.items()}
    other |= {name.upper(): value for name, value in given.items()}
    return other | given


def _options(
    build: Build, course: Course, state: State, network: str, insecure: bool
) -> RunOptions:
    from fastbox.types import RunOptions

    given = build.options
    return RunOptions(
        image=f"build:{build.graph.name(course.number)}",
        entrypoint=(),
        hostname=HOSTNAME if network != "host" else "",
        user=state.user or None,
        workdir=state.workdir,
        network=network,
        privileged=insecure,
        security_opt=given.security_opt,
        shm_size=given.shm_size,
        memory=given.memory,
        memory_swap=given.memory_swap,
        cpu_shares=given.cpu_shares,
        cpu_period=given.cpu_period,
        cpu_quota=given.cpu_quota,
        cpuset_cpus=given.cpuset_cpus,
        cpuset_mems=given.cpuset_mems,
        cgroup_parent=given.cgroup_parent,
        ulimits=given.ulimits,
        extra_hosts=given.extra_hosts,
        log_driver="none",
        volatile=True,
        detach=True,
    )


def _run(
    build: Build, state: State, options: RunOptions, mounts: Mounts, vertex: Vertex, home: str
) -> int:
    from fastbox.types import ImageConfig

    def made() -> tuple[RunOptions, ImageConfig]:
        layers = tuple(build.layers.trees(state.top))
        return mounts.with_layers(options), ImageConfig(id="", labels={}, layers=layers)

    secrets = tuple(f"{name}={value}" for name, value in mounts.env.items())
    bundle = build.secrets.place() if secrets else ""
    try:
        return build.steps().run(
            made, home + "/tree", vertex.output, build.stop.fd, build.layers.still(),
            secrets, bundle,
        )  # fmt: skip
    except StateConflict:
        if build.stop.stopped:
            raise Canceled from None
        raise
