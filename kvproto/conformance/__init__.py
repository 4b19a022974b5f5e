"""The conformance kit: what is wrong with this worker?"""
