"""One stage's way through its steps: what each instruction does to its state."""

from __future__ import annotations

from fastbox.builder import copy, run, workdir
from fastbox.builder.made import PACKED, find_layer, stack
from fastbox.builder.state import Entry, State, base_document, key_of
from fastbox.builds import StepReport
from fastbox.dockerfile import config
from fastbox.dockerfile.expand import declared, expanded
from fastbox.dockerfile.instructions import (
    Arg,
    Cmd,
    Copy,
    From,
    Maintainer,
    Run,
    Workdir,
)
from fastbox.dockerfile.parse import parse_line
from fastbox.errors import FastboxError, IntegrityError, Unsupported
from fastbox.store.buildcache import Step
from fastbox.store.content import Descriptor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from fastbox.builder.build import Build
    from fastbox.builder.graph import Node
    from fastbox.builder.made import Made
    from fastbox.builder.telling import Vertex
    from fastbox.dockerfile.instructions import Instruction

DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FILES = (Run, Copy, Workdir)  # what may change files, and so is a step that people see


class Course:
    """One stage that is being built.

    Attributes:
        state: After the steps so far.
        reports: Of the steps that people see.
        keys: Of the steps that may change files: the one that is known, and all of it.
    """

    __slots__ = (
        "_build", "_done", "_node", "_others", "_pending", "_steps", "keys", "reports", "state",
    )  # fmt: skip

    def __init__(self, build: Build, node: Node, others: dict[int, Course]) -> None:
        self._build, self._node, self._others = build, node, others
        self._pending: list[Instruction] = list(node.stage.instructions)
        self._steps = 1 + sum(isinstance(each, FILES) for each in self._pending)
        self._done = 0
        self.state: State | None = None
        self.reports: list[tuple[StepReport, frozenset[int]]] = []
        self.keys: list[tuple[str, list[str]]] = []

    @property
    def number(self) -> int:
        """The stage's."""
        return self._node.stage.number

    @property
    def end(self) -> State:
        """The state after the last step."""
        assert self.state is not None
        return self.state

    def result(self, stage: int) -> State:
        """The state of a stage that has ended."""
        return self._others[stage].end

    # What the solver drives

    def waits_for(self) -> frozenset[int]:
        """The stages that the next step needs."""
        if self.state is None:
            return frozenset(() if self._node.base is None else (self._node.base,))
        if not self._pending:
            return frozenset()
        build = self._build
        found = build.graph.sources(self._pending[0], self.number, build.refuse)
        return frozenset(found)

    def step(self) -> bool:
        """Make the next step; False after the last."""
        if self.state is None:
            self.state = self._begin()
        elif self._pending:
            instruction = self._pending.pop(0)
            try:
                self._do(instruction, self.state)
            except FastboxError as error:
                raise self._build.place(error, instruction.where.line) from error.__cause__
        return bool(self._pending)

    # FROM

    def _begin(self) -> State:
        node, build = self._node, self._build
        if node.base is not None:
            state = self.result(node.base).successor()
        elif node.start.image == "scratch":
            state = State()
            state.run["WorkingDir"] = "/"
            state.document = {
                "architecture": build.platform["TARGETARCH"],
                "os": build.platform["TARGETOS"],
            }
        else:
            state = self._from_image(node.start)
        if not any(entry.partition("=")[0] == "PATH" for entry in state.run.get("Env") or ()):
            state.run["Env"] = [*(state.run.get("Env") or ()), DEFAULT_PATH]
        self._trigger(state)
        return state

    def _from_image(self, start: From) -> State:
        build = self._build
        with self.vertex(start.where.text) as vertex:
            state = image_state(build, start.image, start.platform)
            vertex.end("cached")
        self.report(vertex, start.where.text, frozenset(), state.key, 0)
        return state

    def _trigger(self, state: State) -> None:
        """ONBUILD: the base's triggers come first."""
        texts = state.run.pop("OnBuild", None) or ()
        triggers = [parse_line(text) for text in texts]
        self._pending[:0] = triggers
        self._steps += sum(isinstance(each, FILES) for each in triggers)

    # The others

    def _do(self, instruction: Instruction, state: State) -> None:
        build = self._build
        if isinstance(instruction, Arg):
            self._declare(instruction, state)
            return
        meant = expanded(
            instruction, state.variables, build.file.escape, build.graph.used,
            name=build.file.name,
        )  # fmt: skip
        if isinstance(meant, Run):
            run.step(build, self, state, meant)
        elif isinstance(meant, Copy):
            copy.step(build, self, state, meant)
        elif isinstance(meant, Workdir):
            config.apply(state.run, meant)
            workdir.step(build, self, state, meant)
        elif isinstance(meant, Maintainer):
            state.document["author"] = meant.name
            state.history.append(Entry(created_by=instruction.where.text))
        else:
            config.apply(state.run, meant, own_cmd=state.own_cmd)
            state.own_cmd = state.own_cmd or isinstance(meant, Cmd)
            state.history.append(Entry(created_by=instruction.where.text))

    def _declare(self, instruction: Arg, state: State) -> None:
        build = self._build
        found = declared(
            instruction, state.variables, build.given, build.graph.args, build.file.escape,
            build.graph.used, name=build.file.name,
        )  # fmt: skip
        build.graph.used.update(found)
        for name, value in found.items():
            if value is None and name in state.args:
                continue  # it keeps what it has
            state.args.pop(name, None)
            state.args[name] = value
        state.history.append(Entry(created_by=instruction.where.text))

    # Steps that people see

    def vertex(self, text: str) -> Vertex:
        """A step begins."""
        self._done += 1
        build, stage = self._build, ""
        if len(build.graph.nodes) > 1 or self._node.start.name:
            stage = build.graph.name(self.number)
        place = f"{stage} {self._done}/{self._steps}".strip()
        return build.teller.vertex(f"[{place}] {text}", stage)

    def report(
        self, vertex: Vertex, text: str, needs: frozenset[int], key: str = "", size: int = 0
    ) -> None:
        """A step is over; it took files of these stages."""
        made = StepReport(
            number=vertex.number, stage=self._build.graph.name(self.number), name=text,
            status=vertex.status or "failed", seconds=vertex.seconds, key=key, size=size,
        )  # fmt: skip
        self.reports.append((made, needs))

    def layer(
        self,
        state: State,
        instruction: Instruction,
        created_by: str,
        keys: Callable[[], list[str]],
        make: Callable[[Vertex, str], bool],
    ) -> None:
        """One step that may change files: taken from the cache, or made.

        Args:
            state: Before it; changed.
            instruction: It, expanded.
            created_by: What its history says.
            keys: Gives the keys under which the cache may know it, the cheapest first; the last
                is its own. Called within the step, for what it costs.
            make: Makes it: fills the directory `tree` in the directory given, which is not there
                yet. False: nothing changed, and there is none.
        """
        build = self._build
        needs = frozenset(build.graph.sources(instruction, self.number, build.refuse))
        text = instruction.where.text
        with self.vertex(text) as vertex:
            known = keys()
            found = self._cached(state, known)
            if found is None:
                found = self._made(state, text, known[-1], vertex, make)
                if build.context is not None:
                    build.context.time_passed()
                self._alias(known, known[-1])
            else:
                vertex.end("cached")
        made, key, created = found
        self.keys.append((key, known))
        self.report(vertex, text, needs, key, made.size if made else 0)
        if made is not None:
            state.top = made
        state.key = key
        state.history.append(Entry(created_by=created_by, created=created, made=made))
        build.stop.check()

    def _cached(self, state: State, keys: list[str]) -> tuple[Made | None, str, str] | None:
        build = self._build
        if build.options.no_cache or self._is_filtered():
            return None
        for key in keys:
            step = build.cache.get(key)
            if step is not None and step.same:
                key, step = step.same, build.cache.get(step.same)
            found = self._layer_of(state, step) if step is not None else None
            if step is not None and found is not None:
                build.cache.touch(key)
                self._alias(keys, key)
                return found[0], key, step.created
        return self._imported(state, keys)

    def _imported(self, state: State, keys: list[str]) -> tuple[Made | None, str, str] | None:
        """What the store doesn't know, others may."""
        build = self._build
        for place in build.imports:
            found = place.find(keys, state.top)
            if found is not None:
                made, key, step = found
                build.cache.put(key, step)
                self._alias(keys, key)
                return made, key, step.created
        return None

    def _alias(self, keys: list[str], key: str) -> None:
        for each in keys:
            if each != key:
                known = self._build.cache.get(each)
                if known is None or known.same != key:
                    self._build.cache.put(each, Step(same=key))

    def _is_filtered(self) -> bool:
        wanted = [name.lower() for name in self._build.options.no_cache_filter]
        return bool(wanted) and self._build.graph.name(self.number).lower() in wanted

    def _layer_of(self, state: State, step: Step) -> tuple[Made | None] | None:
        """The layer that the cache knows, as it lies over this state's; None: of no use here."""
        if not step.chain:
            return (None,)
        below = state.top.wait().chain if state.top else ""
        if step.parent != below:
            return None  # what is below was made anew, and came out otherwise
        packed = Descriptor(
            media_type=step.media_type or PACKED, digest=step.digest, size=step.packed_size
        )
        made = find_layer(self._build.root, step.chain, state.top, packed)
        return None if made is None else (made,)

    def _made(
        self,
        state: State,
        text: str,
        key: str,
        vertex: Vertex,
        make: Callable[[Vertex, str], bool],
    ) -> tuple[Made | None, str, str]:
        build = self._build
        claim = build.claim(key)
        try:
            found = self._cached(state, [key])  # somebody else has made it meanwhile
            if found is not None:
                claim.close()
                vertex.end("cached")
                return found
            home = build.layers.new_home()
            changed = make(vertex, home)
            created = build.now()
        except BaseException:
            claim.close()
            raise
        if not changed:
            build.cache.put(key, Step(created=created, name=text))
            claim.close()
            return None, key, created

        def remember(made: Made) -> None:
            layer = made.layer
            assert layer is not None
            known = Step(created=created, name=text)
            if not made.empty:
                known = known.replace(
                    chain=made.chain, parent=made.below.chain if made.below else "",
                    diff_id=layer.diff_id, digest=layer.digest, size=layer.size,
                    packed_size=layer.packed_size,
                )  # fmt: skip
            before = build.cache.get(key)
            if before is not None and before.chain not in ("", known.chain):
                build.replaced = True
            build.cache.put(key, known)

        made = build.layers.add(home, state.top, remember, claim.close)
        return made, key, created


def image_state(build: Build, reference: str, platform: str) -> State:
    """The state that an image is."""
    named = build.named.get(reference.lower())
    if named is not None:
        if named.kind != "image":
            raise Unsupported(
                f'a stage can\'t begin with the context "{named.name}": it is no image',
                hint="bring it in with: fastbox load",
            )
        reference = named.value
    ref, packed, document = build.images.parts(reference, platform or build.options.platform or "")
    state = State()
    for chain, descriptor in zip(ref.chains, packed, strict=True):
        made = find_layer(build.root, chain, state.top, descriptor)
        if made is None:
            raise IntegrityError(
                "a layer of the image is missing", where=reference, hint="load the image again"
            )
        made.descriptor = descriptor
        state.top = made
    state.key = key_of("image", ref.chains[-1] if ref.chains else "")
    run: dict[str, Any] = dict(document.get("config") or {})
    state.run, state.document = run, base_document(document)
    tops = _history_layers(document, state.top)
    for given, made in tops:
        state.history.append(
            Entry(created_by=str(given.get("created_by", "")), given=given, made=made)
        )
    return state


def _history_layers(document: Any, top: Made | None) -> list[tuple[dict[str, Any], Made | None]]:
    layers = list(stack(top))
    found: list[tuple[dict[str, Any], Made | None]] = []
    history = document.get("history")
    for given in history if isinstance(history, list) else ():
        if isinstance(given, dict):
            has = not given.get("empty_layer") and layers
            found.append((given, layers.pop() if has else None))
    return found
