"""Behaviour into pictures: a drawn head, films, stills and reports.

`draw_head` and `draw` give pixels; `render_video`, `contact_sheet`, `film_strip` and `write_report`
give files. Import them from their modules: numba is loaded only when something is drawn.
"""
