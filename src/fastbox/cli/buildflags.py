"""The flags of `build`, and the `BuildOptions` that they mean."""

from __future__ import annotations

from fastbox.builds import BuildOptions
from fastbox.cli.parser import MANY, SWITCH, TEXT, Option, UsageError
from fastbox.cli.values import bad_value, convert, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.cli.parser import Arguments

_MODES = "auto, tty, plain, json, quiet"
_CALLS = ("build", "check", "graph")
_FORMATS = {"build": ("",), "check": ("", "text", "json"), "graph": ("", "text", "json", "svg")}
_LIMITS = (
    "memory", "memory-swap", "cpu-period", "cpu-quota", "cpu-shares", "cpuset-cpus", "cpuset-mems",
)  # fmt: skip


def options() -> tuple[Option, ...]:
    """Every flag, docker's hidden ones without help."""
    return (*_of_the_result(), *_of_the_cache(), *_of_steps(), *_of_the_command_line())


def _of_the_result() -> tuple[Option, ...]:
    return (
        Option("annotation", "", MANY, ""),
        Option("attest", "", MANY, "accepted when it asks for nothing (disabled=true)"),
        Option("compress", "", SWITCH, ""),
        Option("label", "", MANY, "set a label of the image"),
        Option("load", "", SWITCH, "accepted: an image is always loaded into the store"),
        Option("output", "o", MANY, "where to: DIRECTORY, - or type=TYPE,dest=PATH", "output"),
        Option("platform", "", TEXT, "build for this platform (os/arch[/variant])"),
        Option("provenance", "", TEXT, "accepted when it asks for nothing (false)"),
        Option("push", "", SWITCH, "push the image (not supported yet)"),
        Option("sbom", "", TEXT, "accepted when it asks for nothing (false)"),
        Option("squash", "", SWITCH, "put all new layers into one"),
        Option("tag", "t", MANY, "name the image (name[:tag])"),
        Option("target", "", TEXT, "build this stage"),
    )


def _of_the_cache() -> tuple[Option, ...]:
    return (
        Option("cache-from", "", MANY, "take steps from there: IMAGE, type=registry, type=local"),
        Option("cache-to", "", MANY, "keep the steps there: type=inline, type=local"),
        Option("no-cache", "", SWITCH, "do every step again"),
        Option("no-cache-filter", "", MANY, "do the steps of these stages again"),
        Option("pull", "", SWITCH, "ask registries for newer images"),
    )


def _of_steps() -> tuple[Option, ...]:
    return (
        Option("add-host", "", MANY, "add a line to /etc/hosts (name:address)"),
        Option("allow", "", MANY, "allow network.host or security.insecure"),
        Option("build-arg", "", MANY, "set a build argument (NAME=value; NAME: of this shell)"),
        Option("build-context", "", MANY, "name one more context (name=path)"),
        Option("cgroup-parent", "", TEXT, "the parent cgroup of RUN"),
        Option("cpu-period", "", TEXT, "limit the CPU: length of a period", "int"),
        Option("cpu-quota", "", TEXT, "limit the CPU: time of a period", "int"),
        Option("cpu-shares", "c", TEXT, "CPU shares (relative weight)", "int"),
        Option("cpuset-cpus", "", TEXT, "CPUs that RUN may use (0-3, 0,1)"),
        Option("cpuset-mems", "", TEXT, "memory nodes that RUN may use (0-3, 0,1)"),
        Option("file", "f", TEXT, "the Dockerfile (PATH/Dockerfile)"),
        Option("isolation", "", TEXT, ""),
        Option("memory", "m", TEXT, "limit the memory of RUN", "bytes"),
        Option("memory-swap", "", TEXT, "limit memory and swap together; -1: no limit", "bytes"),
        Option("network", "", TEXT, "the network of RUN: default, none, host or a name"),
        Option("secret", "", MANY, "give a secret to RUN (id=x,src=path or id=x,env=NAME)"),
        Option("security-opt", "", MANY, "security options of RUN"),
        Option("shm-size", "", TEXT, "size of /dev/shm", "bytes"),
        Option("ssh", "", MANY, "give an agent's socket to RUN (default or id=path)"),
        Option("ulimit", "", MANY, "resource limits of RUN", "ulimit"),
    )


def _of_the_command_line() -> tuple[Option, ...]:
    return (
        Option("builder", "", TEXT, ""),
        Option("call", "", TEXT, "build, check or graph[,format=text|svg|json]", "", "print"),
        Option("check", "", SWITCH, "only look at the Dockerfile"),
        Option("debug", "D", SWITCH, "show the traceback of an error"),
        Option("disable-content-trust", "", SWITCH, ""),
        Option("force-rm", "", SWITCH, ""),
        Option("iidfile", "", TEXT, "write the image's id to this file"),
        Option("metadata-file", "", TEXT, "write what was made to this file (JSON)"),
        Option("print", "", TEXT, "as --call"),
        Option("progress", "", TEXT, f"how to show progress: {_MODES} ($FASTBOX_PROGRESS)"),
        Option("quiet", "q", SWITCH, "print the image's id and nothing else"),
        Option("rm", "", SWITCH, ""),
    )


def build(args: Arguments) -> BuildOptions:
    """What a command line asks for; `stdin` is the caller's to open when `reads_stdin` says so.

    Raises:
        UsageError: A value that can't be read, or values that contradict each other.
        Unsupported: Something that is not there yet.
    """
    _refuse(args)
    context, file = args.operands[0], args.text("file")
    if context == "-" and file == "-":
        raise UsageError(args.command, "the context and the Dockerfile can't both come from stdin")
    values: dict[str, object] = {
        "context": context,
        "file": file,
        "tags": tuple(args.texts("tag")),
        "no_cache": args.switch("no-cache"),
        "no_cache_filter": _words(args, "no-cache-filter"),
        "pull": args.switch("pull"),
        "squash": args.switch("squash"),
        "security_opt": tuple(args.texts("security-opt")),
    }
    for name in ("target", "platform", "network", "cgroup-parent"):
        values[name.replace("-", "_")] = args.text(name)
    for part in (_names, _places, _steps):
        values |= part(args)
    return BuildOptions(**values)  # type: ignore[arg-type]


def reads_stdin(wanted: BuildOptions) -> bool:
    """Whether the context or the Dockerfile is what stdin has."""
    return "-" in (wanted.context, wanted.file)


def call(args: Arguments) -> tuple[str, str]:
    """What to do ("build", "check" or "graph") and the format of its answer ("", "text", "json",
    "svg"): --check, --call and --print, the latter also as `graph:svg`.

    Raises:
        UsageError: Unknown, or --check beside another.
        Unsupported: One of docker's others.
    """
    text = args.text("print", "build") or "build"
    kind, _, rest = text.replace(":", ",format=", 1).partition(",")
    kind = {"lint": "check"}.get(kind, kind)
    if kind not in _CALLS:
        from fastbox.errors import Unsupported

        if kind in ("outline", "targets", "subrequests.describe"):
            raise Unsupported(f"--call={kind} is not supported", hint="there are check and graph")
        raise bad_value(args, "call", text, "not build, check or graph")
    if rest and not rest.startswith("format="):
        raise bad_value(args, "call", text, "what follows is not format=FORMAT", "graph,format=svg")
    form = rest.removeprefix("format=")
    if form not in _FORMATS[kind]:
        known = ", ".join(filter(None, _FORMATS[kind])) or "none"
        raise bad_value(args, "call", text, f"formats of {kind}: {known}")
    if args.switch("check") and kind == "build":
        return "check", ""
    return kind, form


def _refuse(args: Arguments) -> None:
    """What docker has and this version has not, one clear line each."""
    from fastbox.errors import Unsupported

    if args.switch("push"):
        raise Unsupported(
            "--push is not supported yet: it comes with the registry",
            hint="build with --tag, then save the image with `fastbox save`",
        )
    if args.given("annotation"):
        raise Unsupported("--annotation is not supported yet", hint="use --label")
    if args.text("isolation", "default") not in ("", "default"):
        raise Unsupported(
            f'--isolation "{args.text("isolation")}" is for Windows', hint="leave it out"
        )
    if "," in args.text("platform"):
        raise Unsupported("an image for several platforms can't be built yet", hint="name one")
    if any(map(args.given, ("attest", "provenance", "sbom"))):
        from fastbox.cli.buildvalues import check_attestations

        check_attestations(args)


def _names(args: Arguments) -> dict[str, object]:
    """Arguments, labels and named contexts."""
    found: dict[str, object] = {}
    if args.given("build-arg"):
        found["args"] = _build_args(args)
    if args.given("label"):
        from fastbox.cli.envfiles import labels

        found["labels"] = labels(args)
    if args.given("build-context"):
        pairs = [
            _pair(args, "build-context", text, "src=./src") for text in args.texts("build-context")
        ]
        found["contexts"] = dict(pairs)
    return found


def _build_args(args: Arguments) -> dict[str, str]:
    """A name alone takes this environment's value; when there is none it counts for nothing."""
    import os

    found = {}
    for text in args.texts("build-arg"):
        name, equals, value = text.partition("=")
        if not name:
            raise bad_value(args, "build-arg", text, "it has no name", "VERSION=1.2")
        if equals:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
    return found


def _pair(args: Arguments, flag: str, text: str, example: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name or not value:
        raise bad_value(args, flag, text, "not name=value", example)
    return name, value


def _places(args: Arguments) -> dict[str, object]:
    """Outputs, caches, secrets and agents."""
    if not any(map(args.given, ("output", "cache-from", "cache-to", "secret", "ssh"))):
        return {}
    from fastbox.cli import buildvalues

    return {
        "outputs": buildvalues.outputs(args),
        "cache_from": buildvalues.cache_sources(args),
        "cache_to": buildvalues.cache_targets(args),
        "secrets": buildvalues.secrets(args),
        "ssh": buildvalues.agents(args),
    }


def _steps(args: Arguments) -> dict[str, object]:
    """How RUN runs: limits, hosts, entitlements."""
    found: dict[str, object] = {}
    if any(map(args.given, _LIMITS)):
        from fastbox.cli import limitflags

        found |= limitflags.limits(args)
    if args.given("add-host"):
        from fastbox.cli import netflags

        found["extra_hosts"] = netflags.build(args)["extra_hosts"]
    if args.given("ulimit"):
        from fastbox import units

        found["ulimits"] = tuple(
            convert(args, "ulimit", text, units.ulimit, "nofile=1024:2048")
            for text in args.texts("ulimit")
        )
    if args.given("shm-size"):
        from fastbox import units

        found["shm_size"] = read(args, "shm-size", units.size, "64m")
    found["allow"] = _words(args, "allow")
    for text in _words(args, "allow"):
        if text not in ("network.host", "security.insecure"):
            why = "not network.host or security.insecure"
            raise bad_value(args, "allow", text, why)
    return found


def _words(args: Arguments, flag: str) -> tuple[str, ...]:
    """A flag that may be repeated or have commas."""
    return tuple(word for text in args.texts(flag) for word in text.split(",") if word)
