"""Files: read without trust, written whole.

    regular       the one way of opening: regular files, without links, waiting or end
    durable       the one way of writing: whole or not at all; a line at a time, synced
    documents     JSON and TOML within bounds
    typed         documents as frozen dataclasses: what a key must be, read and written
    archive       numpy arrays in an .npz, within bounds and without pickle
    elf           digests of programs and shared objects, over what is loaded of them
    removal       folders that go away
    cache         folders that stay, of what can be made again
    flock         the system's lock on an open file
    folder_lock   a folder that one process fills

Place in the pipeline: below it; every room that has a file uses this one.
"""
