from minirec.data.dataset import Dataset, ItemInfo, with_items
from minirec.data.interactions import Interactions


def test_with_items_sets_titles_and_leaves_the_original_alone() -> None:
    x = Interactions(["a", "b"], ["1", "2"], titles={"1": "old"})
    before = Dataset("d", x, {}, None, "")
    after = with_items(before, {"1": ItemInfo("Heat", 1995)})
    assert after.interactions.titles == {"1": "Heat (1995)"}
    assert after.items == {"1": ItemInfo("Heat", 1995)}
    assert x.titles == {"1": "old"}
    assert after.digest == before.digest == x.digest()
