"""Compiles the stylesheets: minifies each, names it after its content, writes a manifest.

The names change only with the content, so browsers may keep a file for ever; the manifest tells
the templates today's name. Same input, same output, byte for byte.
"""

import hashlib
import json
import pathlib
import re
import shutil

SOURCE = pathlib.Path(__file__).parent / "guestbook" / "static"
TARGET = SOURCE / "build"


def minify(css: str) -> str:
    css = re.sub(r"/\*.*?\*/", "", css, flags=re.DOTALL)
    css = re.sub(r"\s+", " ", css)
    css = re.sub(r" ?([{};,>]) ?", r"\1", css)
    css = re.sub(r": ", ":", css)
    return css.replace(";}", "}").strip()


def main() -> None:
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir()
    manifest = {}
    for source in sorted(SOURCE.glob("*.css")):
        content = minify(source.read_text(encoding="utf-8")).encode()
        digest = hashlib.sha256(content).hexdigest()[:10]
        name = f"{source.stem}.{digest}{source.suffix}"
        (TARGET / name).write_bytes(content)
        manifest[source.name] = f"build/{name}"
        print(f"{source.name} -> build/{name}, {source.stat().st_size} -> {len(content)} bytes")
    text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    (TARGET / "manifest.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
