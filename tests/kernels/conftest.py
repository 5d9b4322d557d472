import pytest

from steelyard import kernels


@pytest.fixture(scope="session")
def compiled():
    found = kernels.available()
    if not found.compiled:
        pytest.skip(str(found))
    return found


def pytest_generate_tests(metafunc):
    """Every instruction set that this processor has."""
    if "instructions" in metafunc.fixturenames:
        metafunc.parametrize("instructions", kernels.available().choices or [None])
