"""Does a browser show a report whole, on wide and narrow screens, without network?

    python3 tests/parity/report_render.py REPORT.html [PICTURE.png]

Needs the program `chromium` (or the one that CHROMIUM names) and nothing of Python's but its standard library. Exit status
0: no element of the page names anything outside it, nothing is wider than the window, and every chart on show has a size. With
PICTURE.png, takes a picture of the top of the page.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

CHROMIUM = os.environ.get("CHROMIUM", "chromium")
# The page forbids scripts; a copy without that rule gets one, which measures it.
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
MEASURE = """<script>
for (const d of document.querySelectorAll('details')) d.open = true;
const charts = [...document.querySelectorAll('svg')].filter(s => s.getClientRects().length); // those on show
const flat = charts.map(s => s.getBoundingClientRect()).filter(box => box.width * box.height == 0);
const out = {width: innerWidth, needed: document.documentElement.scrollWidth, charts: charts.length, flat: flat.length,
  loaded: performance.getEntriesByType('resource').map(r => r.name)};
document.title = 'measured ' + JSON.stringify(out);
</script></body>"""


def browse(page: Path, home: str, *flags: str) -> str:
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={home}",
               "--host-resolver-rules=MAP * ~NOTFOUND", *flags, page.resolve().as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


def main(report: Path, picture: Path | None) -> int:
    page = report.read_text()
    bad = []
    if not POLICY.search(page):
        bad.append("the page has no Content-Security-Policy")
    with tempfile.TemporaryDirectory() as home:
        copy = Path(home) / "copy.html"
        copy.write_text(POLICY.sub("", page).replace("</body>", MEASURE))
        for width in (1280, 800, 500):
            dom = browse(copy, home, f"--window-size={width},900", "--dump-dom")
            found = re.search(r"<title>measured (\{.*?\})</title>", dom)
            if not found:
                bad.append(f"at {width} px the page could not be measured")
                continue
            size = json.loads(found[1])
            print(f"{size['width']} px: {size['charts']} charts, content needs {size['needed']} px")
            if size["needed"] > size["width"]:
                bad.append(f"at {size['width']} px the content needs {size['needed']} px")
            if size["flat"] or not size["charts"]:
                bad.append(f"at {size['width']} px {size['flat']} of {size['charts']} charts have no size")
            if size["loaded"]:
                bad.append(f"the page loads {size['loaded']}")
        if picture:
            browse(report, home, "--window-size=1280,1500", f"--screenshot={picture.resolve()}")
    for what in bad:
        print(f"wrong: {what}", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else None))
