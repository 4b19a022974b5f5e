"""The conformance kit for drivers: what is wrong with this driver?

The kit has hostile workers, and good ones that record what they receive. It plays them to an
adapter, a small program that passes one request to the driver under test and reports the result
(ADAPTER.md). The cases are rows of the tables in `cases`.
"""
