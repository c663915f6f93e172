"""The compiler: from an abstract spiking network to a configured chip that does the same, spike for spike.

    Network -check-> IntegerNetwork -partition-> Partition -route-> Routing -place-> Placement -assemble-> ChipConfig

Each stage is one function over frozen values; each value prints itself in a stable text form.
"""
