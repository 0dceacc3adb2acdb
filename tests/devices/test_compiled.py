"""What is read off compiled programs, against programs whose traffic is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh
from jax.sharding import PartitionSpec as P

from dlnotes.devices.compiled import Collective, collectives_in_loops, memory_of


@pytest.fixture
def mesh():
    return Mesh(np.array(jax.devices()[:4]), ("d",))


def compiled(mesh, f, *arguments):
    mapped = jax.shard_map(f, mesh=mesh, in_specs=P("d"), out_specs=P("d"), check_vma=False)
    return jax.jit(mapped).lower(*arguments).compile()


def test_only_what_is_sent_within_loops_counts(mesh):
    def f(x):
        first = jax.lax.psum(x, "d")  # once, outside

        def body(_, carry):
            total = jax.lax.psum(jnp.sin(carry), "d")
            many = jax.lax.all_gather(carry[0], "d")
            return carry * 0.5 + total / 4 + many[:1]

        return jax.lax.fori_loop(0, 5, body, x + first)

    text = compiled(mesh, f, jax.ShapeDtypeStruct((4, 25), jnp.float32)).as_text()
    sent = collectives_in_loops(text)
    assert Collective("all-reduce", 100) in sent
    assert Collective("all-gather", 400) in sent
    assert len(sent) == 2
    assert text.count("all-reduce(") + text.count("all-reduce-start(") >= 2


def test_a_loop_within_a_loop_and_a_branch(mesh):
    def f(x):
        def inner(_, carry):
            shifted = jax.lax.ppermute(carry, "d", [(0, 1), (1, 2), (2, 3), (3, 0)])
            return jax.lax.cond(carry[0, 0] > 0, lambda a: jax.lax.psum(a, "d"), lambda a: a, shifted)

        return jax.lax.fori_loop(0, 3, lambda i, c: jax.lax.fori_loop(0, 2, inner, c), x)

    sent = collectives_in_loops(compiled(mesh, f, jax.ShapeDtypeStruct((4, 6), jnp.float32)).as_text())
    assert sorted(sent) == [Collective("all-reduce", 24), Collective("collective-permute", 24)]


def test_texts_of_accelerators():
    """Asynchronous collectives, as the compilers for TPU and GPU write them."""
    text = """
%body.1 (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %a = (f32[8]{0}, bf16[4,2]{1,0}) all-reduce-start(f32[8]{0} %x, bf16[4,2]{1,0} %y), to_apply=%add
  %b = (f32[8]{0}, f32[32]{0}) all-gather-start(f32[8]{0} %x), dimensions={0}
  %c = (f32[8]{0}, f32[8]{0}, u32[], u32[]) collective-permute-start(f32[8]{0} %x)
  %d = f32[8]{0} all-reduce-done((f32[8]{0}) %a)
}
ENTRY %main (p: f32[8]) -> f32[8] {
  %w = (s32[], f32[8]) while((s32[], f32[8]) %t), condition=%cond.1, body=%body.1
  %e = f32[100]{0} all-reduce(f32[100]{0} %z), to_apply=%add
}
"""
    assert collectives_in_loops(text) == [
        Collective("all-reduce", 48), Collective("all-gather", 128), Collective("collective-permute", 32)
    ]  # fmt: skip


def test_memory_is_that_of_the_arrays():
    f = jax.jit(lambda x, y: (x + 1, jnp.outer(y, y)), donate_argnums=0)
    x, y = (jax.ShapeDtypeStruct((n,), jnp.float32) for n in (1000, 30))
    found = memory_of(f.lower(x, y).compile())
    assert found.arguments == 4 * 1030
    assert 4 * 900 <= found.results < 4 * 900 + 100  # the other result lies over x; and a table of pointers
    assert found.total == sum(found)
