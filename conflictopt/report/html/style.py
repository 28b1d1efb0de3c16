"""What the page looks like."""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif;
  color: #1b1f24; background: #fff; max-width: 66rem; margin: 2rem auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .6rem; border-bottom: 1px solid #d0d7de;
  padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.3rem 0 .3rem; }
p { max-width: 48rem; margin: .5rem 0; overflow-wrap: anywhere; }
.about, .note, figcaption { color: #57606a; font-size: .9rem; }
.verdict { border-left: .5rem solid #57606a; background: #f6f8fa; border-radius: .3rem;
  padding: .8rem 1.2rem 1rem; margin: 1.2rem 0; }
.verdict .title { font-size: 1.35rem; font-weight: 700; margin: 0 0 .3rem; }
.persistent { border-color: #d55e00; background: #fdf3ec; }
.magnitude { border-color: #e69f00; background: #fdf7e8; }
.benign { border-color: #009e73; background: #ecf8f4; }
.lines { border-collapse: collapse; margin: .6rem 0; }
.lines th { font-weight: 600; text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top;
  border: 0; background: none; }
.lines td { border: 0; padding: .2rem 0; white-space: normal; text-align: left; }
code { font: .92em ui-monospace, "SF Mono", Menlo, Consolas, monospace; background: #fff;
  border: 1px solid #d0d7de; padding: .1em .35em; border-radius: 3px; user-select: all;
  overflow-wrap: anywhere; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table.data { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
.data th, .data td { padding: .3rem .7rem; border-bottom: 1px solid #e3e7eb; text-align: right;
  white-space: nowrap; vertical-align: top; }
.data th { background: #f4f6f8; border-bottom: 2px solid #c4ccd4; vertical-align: bottom; }
.data .words, .data .prose { text-align: left; }
.data .prose { white-space: normal; min-width: 16rem; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; display: block; }
details { margin: 1rem 0; }
summary { cursor: pointer; font-weight: 600; }
dl { columns: 2 24rem; column-gap: 2.5rem; }
dl div { break-inside: avoid; margin: 0 0 .9rem; }
dt { font-weight: 600; }
dd { margin: 0; }
@media print { body { max-width: none; font-size: 11px; } .scroll { overflow: visible; } }
"""
