"""The command: ``python -m apps.demo`` serves the web page on this machine and opens it in the browser."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Sequence
from importlib.util import find_spec

from bodymap.errors import UserError, run_command

HOST, PORT = "127.0.0.1", 7860


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit code 0, after somebody stopped the page.

    Raises:
        UserError: the extra is not installed, no such weights or device, an address that is taken.
    """
    options = _parser().parse_args(arguments)

    # -- everything that can be refused is refused before the slow part starts --
    if find_spec("gradio") is None:
        raise UserError('The web page needs Gradio; install it with: pip install -e ".[app]"')
    from bodymap.weights import find

    port = _address(options.host, options.port)
    find(options.weights)

    # -- the slow part --
    with tempfile.TemporaryDirectory(prefix="bodymap-page-") as folder:
        # before Gradio is imported: what it keeps lies in a folder that goes with the page, and it tells nobody
        os.environ["GRADIO_TEMP_DIR"] = folder
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
        # a kill is an end like Ctrl-C: the folder is removed
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print("loading the weights ...", file=sys.stderr)
        from apps.demo.look import EXAMPLES, STYLE, SWAPPED, theme
        from apps.demo.page import LARGEST_FILE, Page
        from apps.demo.studio import Studio

        studio = Studio.from_pretrained(options.weights, options.device)
        page = Page(studio)
        page.blocks.launch(
            server_name=options.host,
            server_port=port,
            inbrowser=not options.no_browser,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            max_file_size=LARGEST_FILE,
            allowed_paths=[str(path) for path in (*EXAMPLES.values(), SWAPPED)],
            footer_links=[],
            run_history=False,
            ssr_mode=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            theme=theme(),
            css_paths=[STYLE],
        )
        print(f"BodyMap is at {page.blocks.local_url} (Ctrl-C ends it)", flush=True)
        threading.Thread(target=studio.warm_up, args=(tuple(EXAMPLES.values()),), daemon=True).start()
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print("stopping ...", file=sys.stderr)
        finally:
            page.blocks.close(verbose=False)
            studio.close()
    return 0


def _address(host: str, port: int | None) -> int:
    """The port to serve on: the one asked for, or the first free one from PORT on.

    Raises:
        UserError: this machine has no such address, or the port is taken.
    """
    try:
        family, _, _, _, _ = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError):
        raise UserError(f"{host} is not an address of this machine; use 127.0.0.1, or 0.0.0.0 for all.") from None
    for candidate in range(PORT, PORT + 100) if port is None else (port,):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError as error:
                if error.errno == errno.EADDRINUSE and port is None:
                    continue
                reason = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
                raise UserError(f"Port {candidate} of {host} {reason}; choose another with --port or --host.") from None
            return candidate
    raise UserError(f"All ports from {PORT} to {PORT + 99} are taken; choose another with --port.")


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is no port; use a number from 1 to 65535")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m apps.demo",
        description="A web page on this machine: two photographs exchange their looks, are mapped and turned.",
    )
    parser.add_argument("--port", type=_port, metavar="N", help=f"default: the first free one from {PORT} on")
    parser.add_argument(
        "--host",
        metavar="H",
        default=HOST,
        help=f"who may visit: {HOST} this machine alone (default), 0.0.0.0 everybody on its networks",
    )
    parser.add_argument("--device", metavar="D", help="cpu, cuda, cuda:1 or mps (default: a GPU where there is one)")
    parser.add_argument(
        "--weights", metavar="W", help="name, folder, file or hub id of the weights (default: the shipped ones)"
    )
    parser.add_argument("--no-browser", action="store_true", help="only serve; open no browser")
    return parser


if __name__ == "__main__":
    run_command(main)
