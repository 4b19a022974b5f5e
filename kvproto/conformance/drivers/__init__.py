"""The other side of the conformance kit: what is wrong with this driver?

Hostile workers, and good ones that record what they meet, are played to an adapter, a small
program that puts one request to the driver under test and tells what came of it (ADAPTER.md). A
case is a row of the tables in `cases`.
"""
