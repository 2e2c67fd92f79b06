"""What Sparseloop's tensor core moves for one product, and which operand it keeps in shared memory.

The mappings are those of the artefact (MICRO 2022, "STC-RF2x-24-bandwidth"): a weight stays in its element
for a pass of columns, a sum in the register file until all of k is done, and no loop over k lies outside.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

WIDTHS = (8, 16, 32, 64)
MOST_TILES = 8  # of rows, and of columns, in shared memory at once


@dataclass(frozen=True, kw_only=True)
class Product:
    """`rows` of weights, `stored` of their k with `index_bits` beside each, times `columns` of activations.

    `activation_words`: what an activation takes in memory, below 1 if zeros are left out. `tile_rows` rows
    work at once, in `steps` along k, on at most `pass_columns` columns before the next weights come.
    """

    rows: int
    columns: int
    k: int
    stored: int
    steps: int
    index_bits: int
    activation_words: float
    tile_rows: int
    pass_columns: int

    @property
    def weights(self) -> int:
        """Stored weights, each a word of 8 bits."""
        return self.rows * self.stored

    @property
    def weight_words(self) -> float:
        """The same with their indices."""
        return self.weights * (1 + self.index_bits / 8)

    @property
    def activations(self) -> float:
        """Words of all activations."""
        return self.k * self.columns * self.activation_words

    @property
    def row_tiles(self) -> int:
        """Tiles of rows; the last may be ragged."""
        return -(-self.rows // self.tile_rows)

    @property
    def updates(self) -> int:
        """Additions to sums in the register files: one for each step along k."""
        return self.rows * self.columns * self.steps


@dataclass(frozen=True, kw_only=True)
class Mapping:
    """Tiles of `columns` columns, and how often all words of an operand pass each way.

    `weight_fetches`, `activation_fetches`: from DRAM into shared memory. `weight_reads`,
    `activation_reads`: from there into the elements.
    """

    columns: int
    weight_fetches: int
    activation_fetches: int
    weight_reads: int
    activation_reads: int

    def fetched(self, product: Product) -> float:
        """Words from DRAM."""
        return self.weight_fetches * product.weight_words + self.activation_fetches * product.activations

    def read(self, product: Product) -> float:
        """Words that shared memory gives."""
        return self.weight_reads * product.weight_words + self.activation_reads * product.activations


def mappings(product: Product, data_words: int, metadata_bytes: int) -> Iterator[Mapping]:
    """All whose held operands fit shared memory. One that holds nothing always does."""
    for rows, columns in _tiles(product):
        passes = -(-product.columns // columns) * -(
            -min(columns, product.columns) // min(columns, product.pass_columns)
        )
        for weight_fetches, activation_fetches in _fetches(
            product, rows, columns, data_words, metadata_bytes
        ):
            yield Mapping(
                columns=columns,
                weight_fetches=weight_fetches,
                activation_fetches=activation_fetches,
                weight_reads=passes,
                activation_reads=product.row_tiles,
            )


def _tiles(product: Product) -> Iterator[tuple[int, int]]:
    """Rows and columns of what lies in shared memory at once."""
    widths = [width for width in WIDTHS if width < product.pass_columns]
    for columns in (*widths, *(product.pass_columns * (1 + more) for more in range(MOST_TILES))):
        for rows in (product.tile_rows * (1 + more) for more in range(MOST_TILES)):
            yield rows, columns
            if rows >= product.rows:
                break
        if columns >= product.columns:
            break


def _fetches(
    product: Product, rows: int, columns: int, data_words: int, metadata_bytes: int
) -> Iterator[tuple[int, int]]:
    """How often weights and activations come from DRAM, for each order of tiles that fits."""
    row_tiles, column_tiles = -(-product.rows // rows), -(-product.columns // columns)
    weights = min(rows, product.rows) * product.stored
    activations = product.k * min(columns, product.columns) * product.activation_words
    indices_fit = weights * product.index_bits <= 8 * metadata_bytes
    if indices_fit and weights + activations <= data_words:
        yield 1, 1 if column_tiles == 1 else row_tiles
        yield 1 if row_tiles == 1 else column_tiles, 1
    if rows == product.tile_rows and columns <= product.pass_columns:
        # What is used in one pass alone need not stay.
        if indices_fit and weights <= data_words:
            yield 1, row_tiles
        if activations <= data_words:
            yield column_tiles, 1
        yield column_tiles, row_tiles
