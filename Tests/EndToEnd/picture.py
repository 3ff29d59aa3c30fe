"""Takes the pictures of the status page that the manual shows, of a streamer that runs:

    python picture.py 127.0.0.1:7432 ../../deploy/docs/images
"""

import sys
import tempfile
from pathlib import Path

from browser import PHONE, Browser

# As far down as the consumers.
_DESKTOP = (1280, 1110)


def main(address: str, folder: Path) -> None:
    """Writes the four of them."""
    with tempfile.TemporaryDirectory() as profile, Browser(Path(profile)) as browser:
        for size, kind in ((_DESKTOP, "desktop"), (PHONE, "phone")):
            for is_dark in (False, True):
                page = browser.page(f"http://{address}/", *size, is_dark=is_dark, is_phone=size == PHONE)
                page.wait_for("document.querySelectorAll('table').length >= 2", "the page is whole")
                page.screenshot(folder / f"page-{kind}-{'dark' if is_dark else 'light'}.png")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
