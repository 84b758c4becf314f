"""A local, read-only web page of the fleet: what the verbs say, for people who would rather look than read.

Reading (`source`, `reading`), what is shown (`fleet`, `moments`: plain values), how it looks (`*_page`: values to HTML)
and who may ask (`guard`, `server`) are apart. No module here writes to a cluster, and none asks for a Secret's data.
"""
