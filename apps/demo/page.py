"""The page: layout, words and wiring; the work is the studio's."""

from __future__ import annotations

import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from apps.demo.look import EXAMPLE, EXAMPLES, FOOT, HEAD, LAYERS, ROLES, SWAPPED, WHAT, good, note, problem, seconds
from apps.demo.pictures import layer_pictures, map_pictures, texture_pictures
from apps.demo.studio import Looks, Photo, Studio
from apps.demo.watch import Cancelled, Tickets, Watch
from apps.swap import choice
from bodymap.correspondence_io import save_correspondence, save_layer_maps
from bodymap.errors import UserError

LARGEST_FILE = "25mb"
# Temporary files live for an hour, and not longer than the page; seconds.
CLEANING, LIFETIME = 600, 3600
FRAMES, SIZES = (12, 36, 72), (240, 360, 640)  # of a turntable: least, usual, most
_WAITING = 16  # jobs, of which one works

Upload = dict[str, Any]  # what Gradio knows of an uploaded file: its path, in Gradio's folder, and the visitor's name
# Inputs come as they are: of a photo the file as it was uploaded, since reading it, and refusing it, is the studio's.
_QUICK = {"queue": False, "show_progress": "hidden", "api_visibility": "private", "preprocess": False}
_PROGRESS = gr.Progress()


@dataclass(frozen=True)
class Panel:
    """What every tab has: a button that starts, one that stops, a line of words."""

    run: gr.Button
    stop: gr.Button
    notice: gr.HTML


class Page:
    """Builds the page around a studio; ``blocks`` is what Gradio launches."""

    def __init__(self, studio: Studio):
        self.studio = studio
        self.tickets = Tickets()
        # inside Gradio's own folder, which it keeps clean
        folder = Path(get_upload_folder())
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix="results-", dir=folder))
        self.blocks = self._build()

    # -------------------------------------------------------------------------------------------------- layout

    def _build(self) -> gr.Blocks:
        with gr.Blocks(title="BodyMap", analytics_enabled=False, delete_cache=(CLEANING, LIFETIME)) as blocks:
            gr.Markdown(HEAD, elem_id="head")
            self.ticket = gr.State()
            with gr.Row(elem_id="bench"):
                with gr.Column(scale=4, min_width=280, elem_id="photos"):
                    with gr.Row(elem_classes="pair"):
                        self.boxes = self._box(1), self._box(2)
                    with gr.Row(elem_classes="pair"):
                        try_it = gr.Button("Try an example", size="md", elem_id="try", min_width=120, visible=_there())
                        exchange = gr.Button("⇄ Exchange", size="md", elem_id="exchange", min_width=120)
                with gr.Column(scale=6, min_width=280, elem_id="results"), gr.Tabs():
                    with gr.Tab("Swap"):
                        self._swap_tab(try_it)
                    with gr.Tab("Map"):
                        self._map_tab()
                    with gr.Tab("Texture"):
                        self._texture_tab()
                    with gr.Tab("Turn"):
                        self._turn_tab()
                    with gr.Tab("Layers"):
                        self._layers_tab()
            gr.Markdown(FOOT, elem_id="foot")
            exchange.click(lambda one, two: (_path(two), _path(one)), list(self.boxes), list(self.boxes), **_QUICK)
            blocks.unload(self._leave)
        return blocks.queue(max_size=_WAITING, api_open=False)

    def _box(self, number: int) -> gr.Image:
        """A box for a photograph, what was found in it, and the examples that can go there."""
        with gr.Column(min_width=130, elem_classes="photo"):
            gr.HTML(ROLES[number - 1], elem_classes="role")
            box = gr.Image(
                label=ROLES[number - 1],
                show_label=False,
                placeholder="Drop a photo here, or click to choose one",
                sources=["upload", "webcam", "clipboard"],
                type="filepath",
                height=300,
                elem_id=f"photo{number}",
                buttons=[],
            )
            found = gr.HTML(elem_id=f"found{number}", elem_classes="line")
            with gr.Row(elem_classes="examples"):
                for name, path in EXAMPLES.items():
                    pick = gr.Button(
                        name, icon=path if path.is_file() else None, size="sm", min_width=60, visible=path.is_file()
                    )
                    pick.click(lambda path=path: str(path), None, [box], **_QUICK)
        seen = box.change(self._check, [box], [box, found], **_QUICK)
        self._heavy(seen.then, self._find, [box], [found, box], show_progress="hidden")
        box.clear(lambda: "", None, [found], **_QUICK)
        return box

    def _swap_tab(self, try_it: gr.Button) -> None:
        names = [(WHAT.get(name, name.capitalize()), name) for name in choice.WHAT]
        what = gr.Radio(names, value=names[0][1], label="What", show_label=False, container=False, elem_id="what")
        with gr.Row(elem_classes="options"):
            head = gr.Checkbox(False, label="Head and hands too", container=False, min_width=150)
            tone = gr.Checkbox(False, label="Keep own skin tone", container=False, min_width=150)
            both = gr.Checkbox(False, label="Both ways", container=False, min_width=100, elem_id="both")
        panel = self._panel("Swap", "swap", EXAMPLE if _there() else "")
        example = (str(EXAMPLES["Anna"]), str(SWAPPED)) if _there() else None
        there = gr.ImageSlider(example, label="Before and after", show_label=False, elem_id="there", **_SLIDER)
        back = gr.ImageSlider(label="The other way round", show_label=False, visible=False, elem_id="back", **_SLIDER)
        # a garment has no head, and its bare skin is the wearer's
        what.change(lambda chosen: [gr.update(interactive=chosen == "all")] * 2, [what], [head, tone], **_QUICK)
        inputs, outputs = [*self.boxes, what, head, tone, both], [there, back]
        self._wire(panel, panel.run.click, self._swap, inputs, outputs)
        filled = try_it.click(lambda: [str(path) for path in EXAMPLES.values()], None, list(self.boxes), **_QUICK)
        self._wire(panel, filled.then, self._swap, inputs, outputs)

    def _map_tab(self) -> None:
        which = _which()
        panel = self._panel("Show the map", "map")
        pictures = gr.Gallery(label="Map", show_label=False, elem_id="map-pictures", **_GALLERY)
        download = gr.DownloadButton("Download as .npz", visible=False, size="sm")
        self._wire(panel, panel.run.click, self._map, [*self.boxes, which], [pictures, download])

    def _texture_tab(self) -> None:
        which = _which()
        panel = self._panel("Show the texture", "texture")
        pictures = gr.Gallery(label="Texture", show_label=False, elem_id="texture-pictures", **_GALLERY)
        self._wire(panel, panel.run.click, self._texture, [*self.boxes, which], [pictures])

    def _turn_tab(self) -> None:
        which = _which()
        with gr.Row(elem_classes="pair"):
            frames = gr.Slider(*FRAMES[::2], FRAMES[1], step=12, label="Pictures", min_width=140, elem_id="frames")
            size = gr.Slider(*SIZES[::2], SIZES[1], step=40, label="Size, pixels", min_width=140, elem_id="size")
        panel = self._panel("Turn", "turn")
        film = gr.Video(
            label="Turntable",
            show_label=False,
            elem_id="film",
            autoplay=True,
            loop=True,
            interactive=False,
            height=480,
            buttons=["download"],
        )
        self._wire(panel, panel.run.click, self._turn, [*self.boxes, which, frames, size], [film])

    def _layers_tab(self) -> None:
        which = _which()
        panel = self._panel("Take the layers apart", "layers")
        pictures = gr.Gallery(label="Layers", show_label=False, elem_id="layers-pictures", **_GALLERY)
        download = gr.DownloadButton("Download as .npz", visible=False, size="sm")
        self._wire(panel, panel.run.click, self._layers, [*self.boxes, which], [pictures, download])

    def _panel(self, text: str, name: str, words: str = "") -> Panel:
        with gr.Row(elem_classes="actions"):
            run = gr.Button(text, variant="primary", elem_id=f"{name}-run")
            stop = gr.Button("Cancel", visible=False, elem_id=f"{name}-stop")
        return Panel(run, stop, gr.HTML(note(words) if words else "", elem_id=f"{name}-notice", elem_classes="line"))

    # -------------------------------------------------------------------------------------------------- wiring

    def _wire(
        self,
        panel: Panel,
        event: Callable,
        work: Callable,
        inputs: Sequence[gr.Component],
        outputs: Sequence[gr.Component],
    ) -> None:
        """An event starts work; meanwhile the button that starts gives way to the one that stops."""
        shown = [self.ticket, panel.run, panel.stop, panel.notice]
        begun = event(self._begin, None, shown, js=_to_result(panel, outputs[0]), **_QUICK)
        done = self._heavy(
            begun.then,
            work,
            [self.ticket, *inputs],
            [panel.notice, *outputs],
            show_progress_on=outputs[0],
        )
        done.then(lambda: (gr.update(visible=True), gr.update(visible=False)), None, [panel.run, panel.stop], **_QUICK)
        panel.stop.click(self._cancel, None, [panel.stop, panel.notice], **_QUICK)

    @staticmethod
    def _heavy(event: Callable, work: Callable, inputs: Sequence[Any], outputs: Sequence[Any], **more: Any) -> Any:
        # The studio works for one at a time. Gradio lets several wait inside it, where they can be cancelled.
        return event(
            work,
            list(inputs),
            list(outputs),
            concurrency_id="work",
            concurrency_limit=_WAITING,
            api_visibility="private",
            preprocess=False,
            **more,
        )

    def _begin(self, request: gr.Request):
        ticket = self.tickets.take(request.session_hash)
        return ticket, gr.update(visible=False), gr.update(visible=True, interactive=True, value="Cancel"), ""

    def _cancel(self, request: gr.Request):
        self.tickets.cancel(request.session_hash)
        return gr.update(interactive=False, value="Stopping …"), note("Stopping after this step.")

    def _leave(self, request: gr.Request) -> None:
        """The tab was closed: nobody waits for its job any more."""
        self.tickets.cancel(request.session_hash)

    def _attempt(
        self, work: Callable[[Watch], tuple], count: int, ticket: int, request: gr.Request, progress: gr.Progress
    ) -> tuple:
        """(words, outputs ...) of work that gives as much; where it fails the outputs stay as they are."""
        watch = Watch(
            lambda share, text: progress(share, desc=text),
            lambda: not self.tickets.valid(request.session_hash, ticket),
        )
        try:
            with self.studio.alone(watch) as watch:
                return work(watch)
        except Cancelled:
            words = note("Stopped.")
        except UserError as error:
            words = problem(str(error))
        except Exception:
            # a visitor can do nothing with a traceback; who runs the page can
            traceback.print_exc(file=sys.stderr)
            words = problem("Something went wrong inside; the terminal that runs this page says what.")
        return words, *(gr.skip() for _ in range(count))

    # ---------------------------------------------------------------------------------------------------- work

    def _check(self, upload: Upload | None):
        """A file that is no photograph is refused at once, and its box emptied."""
        if upload is None:
            return gr.skip(), gr.skip()
        try:
            self.studio.check(*_file_and_name(upload))
        except UserError as error:
            return None, problem(str(error))
        return gr.skip(), note("Looking for the person …")

    def _find(self, upload: Upload | None, request: gr.Request):
        """The map is made while the visitor still chooses what to do with it."""
        if upload is None:
            return gr.skip(), gr.skip()

        def work(watch: Watch) -> tuple:
            try:
                photo = self.studio.photo(*_file_and_name(upload))
            except UserError as error:
                return problem(str(error)), None
            mask = self.studio.person(photo, watch).mask
            return good(f"Person found, {mask.mean():.0%} of the picture."), gr.skip()

        return self._attempt(work, 1, self.tickets.take(request.session_hash), request, _silent)

    def _swap(self, ticket, one, two, what, head, tone, both, request: gr.Request, progress: gr.Progress = _PROGRESS):
        def work(watch: Watch) -> tuple:
            begin = time.monotonic()
            source, target = self._photo(one, 1), self._photo(two, 2)
            whole = what == "all"
            looks = Looks(what, whole and head, "target" if whole and tone else "source")
            there = self.studio.swap(source, target, looks, watch.part(0.0, 0.6 if both else 1.0))
            back = gr.update(visible=False, value=None)
            if both:
                other = self.studio.swap(target, source, looks, watch.part(0.6, 1.0))
                back = gr.update(visible=True, value=(source.pixels, other.image))
            share, duration = (there.region > 0.5).mean(), seconds(time.monotonic() - begin)
            words = f"{share:.0%} of photo 2 replaced{duration}. Drag the line to compare."
            return note(words), (target.pixels, there.image), back

        return self._attempt(work, 2, ticket, request, progress)

    def _map(self, ticket, one, two, which, request: gr.Request, progress: gr.Progress = _PROGRESS):
        def work(watch: Watch) -> tuple:
            begin, photo = time.monotonic(), self._photo(*_chosen(one, two, which))
            map_ = self.studio.person(photo, watch.part(0.0, 0.8))
            watch(0.8, "Packing the download")
            path = self._file(photo, ".npz")
            save_correspondence(map_, path, self.studio.model.template.code_version)
            words = f"Largest person: {map_.mask.mean():.0%} of the picture{seconds(time.monotonic() - begin)}."
            return note(words), map_pictures(photo.pixels, map_), gr.update(value=str(path), visible=True)

        return self._attempt(work, 2, ticket, request, progress)

    def _texture(self, ticket, one, two, which, request: gr.Request, progress: gr.Progress = _PROGRESS):
        def work(watch: Watch) -> tuple:
            pictures, words = texture_pictures(self.studio.texture(self._photo(*_chosen(one, two, which)), watch))
            return note(words), pictures

        return self._attempt(work, 1, ticket, request, progress)

    def _turn(self, ticket, one, two, which, frames, size, request: gr.Request, progress: gr.Progress = _PROGRESS):
        def work(watch: Watch) -> tuple:
            begin, photo = time.monotonic(), self._photo(*_chosen(one, two, which))
            count, pixels = _within(frames, FRAMES), _within(size, SIZES)
            path = self.studio.turntable(photo, self._file(photo, ".mp4"), count, pixels, watch)
            words = f"{count} pictures{seconds(time.monotonic() - begin)}. What the photo does not show is made up."
            return note(words), str(path)

        return self._attempt(work, 1, ticket, request, progress)

    def _layers(self, ticket, one, two, which, request: gr.Request, progress: gr.Progress = _PROGRESS):
        def work(watch: Watch) -> tuple:
            begin, photo = time.monotonic(), self._photo(*_chosen(one, two, which))
            maps = self.studio.layers(photo, watch.part(0.0, 0.85))
            watch(0.85, "Packing the download")
            path = self._file(photo, "_layers.npz")
            save_layer_maps(maps, path, self.studio.layer_code)
            names = ["body", *(name for name in ("upper", "lower") if getattr(maps, name) is not None)]
            words = f"Found {', '.join(LAYERS[name] for name in names)}{seconds(time.monotonic() - begin)}."
            return note(words), layer_pictures(photo.pixels, maps), gr.update(value=str(path), visible=True)

        return self._attempt(work, 2, ticket, request, progress)

    def _photo(self, upload: Upload | None, number: int) -> Photo:
        if upload is None:
            raise UserError(f"Box {number} is empty; drop a photo there, take one, or try an example.")
        return self.studio.photo(*_file_and_name(upload))

    def _file(self, photo: Photo, ending: str) -> Path:
        """Where a result goes; Gradio forgets it with its other temporary files."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        # the visitor's own name, as far as every file system takes it
        return folder / f"{re.sub(r'[^A-Za-z0-9_-]+', '_', Path(photo.name).stem)[:60]}{ending}"


_SLIDER = {
    "type": "numpy",
    "format": "png",
    "interactive": False,
    "max_height": 640,
    "slider_position": 30,
    "buttons": ["download", "fullscreen"],
}
_GALLERY = {
    "format": "png",
    "elem_classes": "pictures",
    "object_fit": "contain",
    "height": "auto",
    "interactive": False,
    "buttons": ["download", "fullscreen"],
}


def _to_result(panel: Panel, result: gr.Component) -> str:
    """On a small screen progress and result would lie below its end: the button goes to the top."""
    return f"""() => {{
        const result = document.getElementById('{result.elem_id}').getBoundingClientRect();
        const button = document.getElementById('{panel.run.elem_id}').parentElement;
        if (result.top > innerHeight - 300) button.scrollIntoView({{behavior: 'smooth'}});
    }}"""


def _chosen(one: Upload | None, two: Upload | None, which: int) -> tuple[Upload | None, int]:
    return (two, 2) if which == 2 else (one, 1)


def _within(value: float, limits: tuple[int, int, int]) -> int:
    return round(min(max(value, limits[0]), limits[-1]))


def _which() -> gr.Radio:
    return gr.Radio([("Photo 1", 1), ("Photo 2", 2)], value=1, label="Of whom", show_label=False, container=False)


def _there() -> bool:
    """Whether the examples are; a wheel has none."""
    return all(path.is_file() for path in (*EXAMPLES.values(), SWAPPED))


def _silent(share: float, desc: str) -> None:
    pass


def _file_and_name(upload: Upload) -> tuple[str, str]:
    return upload["path"], Path(upload.get("orig_name") or upload["path"]).name[:80]


def _path(upload: Upload | None) -> str | None:
    return None if upload is None else upload["path"]
