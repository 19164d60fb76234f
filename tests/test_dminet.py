"""Components of DMINet compared with plain implementations of the equations."""

import torch
import torch.nn.functional as F

from cdzoo.decoders.decode_cells import DecodeCells
from cdzoo.fusion.joint_attention import JointAttention
from cdzoo.heads.path_sum import PathSum
from cdzoo.layers.decode_cell import DecodeCell


def test_joint_attention_position_by_position():
    fuse = JointAttention(8).eval()
    torch.nn.init.ones_(fuse.gamma)
    for p in fuse.parameters():
        if p.ndim > 1:
            torch.nn.init.normal_(p, std=0.5)
    maps = torch.randn(2, 1, 8, 3, 5).unbind()
    query = torch.cat([project(x) for project, x in zip(fuse.queries, maps, strict=True)], 1).flatten(2)[0]
    attended = []
    for date, x in enumerate(maps):
        key, value = fuse.keys[date](x).flatten(2)[0], fuse.values[date](x).flatten(2)[0]
        y = torch.stack([value @ torch.softmax(key.T @ query[:, i], 0) for i in range(15)], 1)
        attended.append(x + y.view(1, 8, 3, 5))
    joined = fuse.join(torch.cat(attended, 1))
    torch.testing.assert_close(fuse(*maps), torch.cat([joined, (attended[0] - attended[1]).abs()], 1))


def test_decode_cell_formula():
    cell = DecodeCell(4).eval()
    fine, coarse = torch.randn(1, 4, 6, 10), torch.randn(1, 4, 3, 5)

    def up(x):
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    both = torch.cat([F.relu(cell.fine(fine) * up(coarse)), F.relu(up(cell.coarse(coarse)) * fine)], 1)
    torch.testing.assert_close(cell(fine, coarse), F.relu(cell.merge[1](cell.merge[0](both))))


def test_paths_do_not_mix():
    decoder, head = DecodeCells([4, 8, 12], [4, 8, 16], paths=2).eval(), PathSum([4, 8], [4, 8], paths=2).eval()
    features = [torch.randn(1, c, 16 // 2**i, 16 // 2**i) for i, c in enumerate((4, 8, 12))]
    other = [torch.cat([first, torch.randn_like(second)], 1) for first, second in (level.chunk(2, 1) for level in features)]
    decoded, changed = decoder(features), decoder(other)
    assert [level.shape[1] for level in decoded] == [4, 8]
    for level, after in zip(decoded, changed, strict=True):
        half = level.shape[1] // 2
        assert torch.equal(level[:, :half], after[:, :half]) and not torch.equal(level[:, half:], after[:, half:])
    first, second, *coarser = head.auxiliary(decoded)
    torch.testing.assert_close(head(decoded, (64, 64)), first + second)
    assert head.auxiliary_weights == (1.0, 1.0, 0.5, 0.5) and {tuple(x.shape) for x in coarser} == {(1, 2, 64, 64)}
