import numpy as np
import numpy.typing as npt

def anneal(
    first: npt.NDArray[np.int64],
    neighbour: npt.NDArray[np.int32],
    weight: npt.NDArray[np.float64],
    edge_pull: npt.NDArray[np.float64],
    along_x: npt.NDArray[np.float64],
    along_y: npt.NDArray[np.float64],
    site: npt.NDArray[np.int32],
    position: npt.NDArray[np.float64],
    occupant: npt.NDArray[np.int32],
    random_state: npt.NDArray[np.uint64],
    n_moves: int,
    temperature: float,
    window: int,
) -> float: ...
