"""The store in a browser: pages that hold every fact without script, each as of one offset, each with its data beside it.

| module     | what it is                                                        |
| `pages`    | the table of pages and actions: path, what may be asked, role      |
| `view`     | one request: the store pinned at an offset, what was asked, links  |
| `page`     | what a page holds, and its forms: HTML, JSON, CSV, Parquet, SVG    |
| `site`     | a store being shown: the ASGI application                          |
| the others | one page each                                                     |
"""
