"""What the package offers; the network is imported when it is built."""

from dfukit import Component, frozen, hookimpl, whole


@frozen
class TinySettings:
    width: int = whole(32, "channels of each map", low=1)


@hookimpl
def generators() -> list[Component]:
    return [
        Component(
            name="tiny",
            settings=TinySettings,
            target="dfukit_tiny.network:TinyGenerator",
            summary="a coarse map of noise, enlarged three times",
            suggests={"critic": {"name": "conv", "width": 32}, "loss": {"name": "wgan_gp"}},
        )
    ]
