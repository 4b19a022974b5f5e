#!/usr/bin/env python3
# It takes items for UTF-8 text.
import raw

for key, value in raw.read_pairs():
    raw.write(raw.result_list((key.decode().encode(), value.decode().encode())))
