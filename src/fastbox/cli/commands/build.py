"""Build an image from a Dockerfile."""

from __future__ import annotations

from fastbox.errors import FastboxError, InvalidArgument

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fastbox.builds import BuildOptions, Built
    from fastbox.cli.door import Builds, Door
    from fastbox.cli.output import Output
    from fastbox.cli.parser import Arguments, Option
    from fastbox.cli.render.build_watch import Watch

NAME = "build"
USAGE = "[OPTIONS] PATH | URL | -"
SUMMARY = "build an image from a Dockerfile"
OPERANDS = (1, 1)
_TERMINATED = 128 + 15  # by SIGTERM
_FAILED = 1  # a step or a check failed: docker's client says 1
_LAST = 10  # lines of a failed step, where its output was shown already


def options() -> tuple[Option, ...]:
    """The flags it takes."""
    from fastbox.cli import buildflags

    return buildflags.options()


def execute(engine: Door, args: Arguments, out: Output) -> int:
    """Build, or only check; show how it goes, and print what was asked for."""
    from _signal import SIGTERM, signal  # type: ignore[import-not-found]

    terminated = False

    def terminate(*_: object) -> None:
        nonlocal terminated
        terminated = True
        raise KeyboardInterrupt  # ends the build as ^C does, with nothing left

    signal(SIGTERM, terminate)
    try:
        return _execute(engine, args, out)
    except KeyboardInterrupt:
        if terminated:
            return _TERMINATED
        raise


def _execute(engine: Door, args: Arguments, out: Output) -> int:
    from fastbox.cli import buildflags
    from fastbox.cli.render.build_watch import Watch, mode

    out.debug = out.debug or args.switch("debug")
    wanted = buildflags.build(args)
    kind, form = buildflags.call(args)
    wanted = wanted.replace(check=args.switch("check") or kind == "check")
    watch = Watch(out, mode(args.text("progress"), args.switch("quiet"), out))
    _check_streams(wanted, kind)
    if buildflags.reads_stdin(wanted):
        wanted = wanted.replace(stdin=open(0, "rb", closefd=False))  # noqa: SIM115
    if kind == "check":
        return _check(engine.builds, wanted, form, out)
    if args.text("iidfile"):
        from fastbox.cli import buildfiles

        buildfiles.forget(args.text("iidfile"))
    built = _build(engine.builds, wanted, watch, out)
    if isinstance(built, int):
        return built
    _write_files(args, built, out)
    if watch.mode == "quiet" and built.image_id and not _has_stdout(wanted):
        out.line(built.image_id)
    if kind == "graph":
        _show_graph(built, form, out)
    return 0


def _check_streams(wanted: BuildOptions, kind: str) -> None:
    """A terminal is neither a context nor a place for an archive, and stdout is for one thing."""
    import os

    if "-" in (wanted.context, wanted.file) and os.isatty(0):
        what = "context" if wanted.context == "-" else "Dockerfile"
        raise InvalidArgument(
            f"stdin is a terminal, not a {what}", hint="fastbox build - < context.tar"
        )
    if not _has_stdout(wanted):
        return
    if os.isatty(1):
        raise InvalidArgument(
            "an archive can't be written to a terminal", hint="redirect stdout, or add dest=FILE"
        )
    if kind != "build":
        raise InvalidArgument(f"stdout can't have both an archive and the {kind}")


def _has_stdout(wanted: BuildOptions) -> bool:
    return any(output.target == "-" for output in wanted.outputs)


def _check(builds: Builds, wanted: BuildOptions, form: str, out: Output) -> int:
    from fastbox.cli import buildfiles
    from fastbox.cli.render import build_failure

    found = builds.check(wanted)
    if form == "json":
        from fastbox.support import json

        out.line(json.dumps_pretty(build_failure.check_document(found), 2))
        return _FAILED if found else 0
    source = buildfiles.source(wanted) if found else []
    for line in build_failure.check(found, buildfiles.name(wanted), source):
        out.line(line)
    return _FAILED if found else 0


def _build(builds: Builds, wanted: BuildOptions, watch: Watch, out: Output) -> Built | int:
    """What came of it, or the exit code of a failure of which everything is said."""
    try:
        with watch:
            built = builds.build(wanted, watch.tell)
    except FastboxError as error:
        watch.failed(error)
        if watch.mode != "json":
            _explain(error, wanted, watch, out)
        return _FAILED if error.code == "build.failed" else error.exit_code
    watch.built(built)
    _warn(built, watch, out)
    return built


def _warn(built: Built, watch: Watch, out: Output) -> None:
    if watch.mode in ("plain", "tty") and (built.warnings or watch.vertices.warnings):
        from fastbox.cli.render import build_failure

        for line in build_failure.warnings(built.warnings, watch.vertices.warnings):
            out.note(line)


def _explain(error: FastboxError, wanted: BuildOptions, watch: Watch, out: Output) -> None:
    """The failed step's output, its place in the Dockerfile, and the error in one line."""
    from fastbox.cli import buildfiles
    from fastbox.cli.render import build_failure
    from fastbox.cli.report import report

    failed = watch.vertices.failed()
    tail = str(getattr(error, "tail", ""))
    for line in build_failure.logs(failed, tail, None if watch.mode == "tty" else _LAST):
        out.note(line)
    detail = str(getattr(error, "detail", ""))
    place = int(getattr(error, "line", 0)) or next((v.line for v in failed if v.line), 0)
    if detail and detail not in str(error):
        out.note(detail)
    elif place and not detail and "\n" not in str(error):
        source = getattr(error, "source", ()) or buildfiles.source(wanted)
        name = str(getattr(error, "file", "")) or buildfiles.name(wanted)
        for line in build_failure.excerpt(name, source, place, int(getattr(error, "end", 0))):
            out.note(line)
    report(error, out)


def _write_files(args: Arguments, built: Built, out: Output) -> None:
    """--iidfile and --metadata-file."""
    if not args.text("iidfile") and not args.text("metadata-file"):
        return
    from fastbox.cli import buildfiles

    if args.text("iidfile"):
        if built.image_id:
            buildfiles.replace(args.text("iidfile"), built.image_id.encode())
        else:
            out.note("WARNING: no image was made: --iidfile is not written")
    if args.text("metadata-file"):
        buildfiles.replace(args.text("metadata-file"), buildfiles.metadata(built))


def _show_graph(built: Built, form: str, out: Output) -> None:
    if form == "svg":
        from fastbox.cli.render import build_svg

        out.line(build_svg.draw(built.steps))
        return
    from fastbox.cli.render import build_graph

    if form == "json":
        from fastbox.support import json

        out.line(json.dumps_pretty(build_graph.document(built.steps), 2))
        return
    for line in build_graph.text(built.steps):
        out.line(line)
