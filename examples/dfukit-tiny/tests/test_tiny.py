from dfukit.testing import GeneratorSuite


class TestTiny(GeneratorSuite):
    component = "tiny"
    settings = {"width": 8}
