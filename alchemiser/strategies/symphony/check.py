"""Forms to a checked tree: the meaning of every word, its arity, its numbers; everything known without prices.

Either the whole file has a meaning or :class:`SymphonyError` says where it has none. Building never recurses: each form is built by a
generator that yields the forms it contains and is sent their nodes, and :meth:`_Builder.build` drives those generators from a list. The
reader makes equal forms one, so each distinct form is built once however often it is written.
"""

import gc
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path

from alchemiser.domain.errors import SymphonyError
from alchemiser.strategies.symphony.facts import MAX_NESTED_EVALUATIONS, facts_of
from alchemiser.strategies.symphony.header import header_form
from alchemiser.strategies.symphony.reader import Form, Item, ReadSymphony, Source, Text, Word, read_bytes, read_file, read_text
from alchemiser.strategies.symphony.tree import (
    Asset,
    CheckWarning,
    Condition,
    Filter,
    Group,
    If,
    Node,
    Number,
    Operand,
    Reading,
    Symphony,
    WeightEqual,
    WeightInverseVolatility,
    WeightSpecified,
)
from alchemiser.strategies.symphony.words import (
    COMPARATORS,
    DEFAULT_VOLATILITY_WINDOW,
    MeasureForm,
    measure_form,
    parse_integer,
    parse_number,
    parse_symbol,
    parse_window,
    refuse_word,
    warning_at,
)

SHARES_TOLERANCE = Decimal("1e-9")
"""How far the shares of a weight-specified may be from 1 in sum: no more than the weights of a strategy may."""

NOISE = Decimal("1e-12")

Building = Generator[Item, Node, Node]


def check_file(path: Path) -> Symphony:
    """Read and check a symphony file. Raises ``StrategyError`` when it cannot be opened, ``SymphonyError`` when it is refused."""
    try:
        with _collector_at_rest():
            return check(read_file(path))
    except SymphonyError as error:
        raise error.within(str(path)) from error


def check_bytes(raw: bytes) -> Symphony:
    """Read and check the bytes of a symphony file. Raises ``SymphonyError`` when it is refused."""
    with _collector_at_rest():
        return check(read_bytes(raw))


def check_text(text: str) -> Symphony:
    """Read and check the text of a symphony. Raises ``SymphonyError`` when it is refused."""
    with _collector_at_rest():
        return check(read_text(text))


def check(read: ReadSymphony) -> Symphony:
    """Return the checked tree of a file that was read. Raises ``SymphonyError`` when it is refused."""
    with _collector_at_rest():
        return _checked(read)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Keep the garbage collector from looking through a growing tree, in which nothing is garbage, again and again.

    That takes half of the time of a large file.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _checked(read: ReadSymphony) -> Symphony:
    form, source = read.form, read.source
    if form.opening != "(" or not form.items or not isinstance(form.items[0], Word) or form.items[0].text != "defsymphony":
        found = f"({form.items[0]} ...)" if form.items else "()"
        raise source.refuse(form.place, f"expected (defsymphony ...), found {found if form.opening == '(' else form}")
    if len(form.items) != 4:
        raise source.refuse(form.place, f"defsymphony takes a name, a header and one root form, found {len(form.items) - 1} arguments")
    _, name, header, root_item = form.items
    if not isinstance(name, Text):
        raise source.refuse(name.place, f"the name of a symphony is a string, found {name}")

    builder = _Builder(source)
    checked_header = header_form(source, header, builder.warnings)
    root = builder.build(root_item)
    facts = facts_of(root, builder.nodes)
    if facts.nested_evaluations > MAX_NESTED_EVALUATIONS:
        raise source.refuse(
            root_item.place,
            f"groups are ranked or weighed by volatility {facts.nested_evaluations} deep, more than {MAX_NESTED_EVALUATIONS}",
        )
    return Symphony(
        name=name.value,
        header=checked_header,
        root=root,
        nodes=tuple(builder.nodes),
        source=source,
        places=tuple(builder.places),
        symbols_held=facts.symbols_held,
        symbols_watched=facts.symbols_watched,
        longest_window=facts.longest_window,
        bars_needed=facts.bars_needed,
        bars_settled=facts.bars_settled,
        depth=read.depth,
        ranks_groups=facts.ranks_groups,
        warnings=(*builder.warnings, *_warnings_of(facts.oddities, builder.places, source)),
    )


def _warnings_of(oddities: Sequence[tuple[Node, str]], places: Sequence[int], source: Source) -> list[CheckWarning]:
    return [CheckWarning(*source.line_and_column(places[node.index]), message) for node, message in oddities]


class _Builder:
    """Builds nodes, each distinct one once, and collects warnings."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._known: dict[tuple[object, ...], Node] = {}
        self._built: dict[Form, Node] = {}
        self._conditions: dict[Form, Condition] = {}
        self.nodes: list[Node] = []
        self.places: list[int] = []
        self.warnings: list[CheckWarning] = []
        self._builders: dict[str, Callable[[Form], Building]] = {
            "asset": self._asset,
            "group": self._group,
            "weight-equal": self._weight_equal,
            "weight-specified": self._weight_specified,
            "weight-inverse-volatility": self._weight_inverse_volatility,
            "if": self._if,
            "filter": self._filter,
        }

    def build(self, root: Item) -> Node:
        """Return the node of an item. Nested generators are driven from a list instead of the host stack."""
        stack: list[tuple[Item, Building]] = [(root, self._node(root))]
        step: Callable[[], Item] = stack[0][1].__next__
        while True:
            try:
                wanted = step()
            except StopIteration as done:
                node: Node = done.value
                item, _ = stack.pop()
                if isinstance(item, Form):
                    self._built[item] = node
                if not stack:
                    return node
                step = partial(stack[-1][1].send, node)
                continue
            known = self._built.get(wanted) if isinstance(wanted, Form) else None
            if known is not None:
                step = partial(stack[-1][1].send, known)
            else:
                stack.append((wanted, self._node(wanted)))
                step = stack[-1][1].__next__

    # --- nodes ---

    def _node(self, item: Item) -> Building:
        """Return the generator that builds the node of a form."""
        if not isinstance(item, Form) or item.opening != "(" or not item.items:
            raise self._refuse(item, f"expected a node such as (asset ...) or (if ...), found {item}")
        head = item.items[0]
        if not isinstance(head, Word):
            raise self._refuse(head, f"expected the name of an operator, found {head}")
        build = self._builders.get(head.text)
        if build is None:
            raise refuse_word(self._source, head, "operator", self._builders)
        return build(item)

    def _asset(self, form: Form) -> Building:
        arguments = form.items[1:]
        if not 1 <= len(arguments) <= 3:
            raise self._arity(form, "a symbol and optionally a name and an exchange")
        for extra in arguments[1:]:
            if not (isinstance(extra, Text) or (isinstance(extra, Word) and extra.text == "nil")):
                raise self._refuse(extra, f"after its symbol an asset has a display name or nil, found {extra}")
        symbol = parse_symbol(self._source, arguments[0])
        yield from ()  # a generator like its siblings, though an asset contains no forms
        return self._intern(form, ("asset", symbol), lambda index: Asset(index, symbol))

    def _group(self, form: Form) -> Building:
        arguments = form.items[1:]
        if len(arguments) != 2 or not isinstance(arguments[0], Text):
            raise self._arity(form, "a name in quotes and one child in brackets")
        items = self._items_of(arguments[1])
        if len(items) != 1:
            raise self._refuse(arguments[1], f"a group has exactly one child, found {len(items)}")
        name = arguments[0].value
        child = yield items[0]
        return self._intern(form, ("group", name, child.index), lambda index: Group(index, name, child))

    def _weight_equal(self, form: Form) -> Building:
        if len(form.items) < 2:
            raise self._arity(form, "its children in brackets")
        children = yield from self._children(form, form.items[1:])
        return self._equal(form, children)

    def _weight_specified(self, form: Form) -> Building:
        arguments = form.items[1:]
        if not arguments or len(arguments) % 2:
            raise self._arity(form, "pairs of a weight and a node")
        weights = [parse_number(self._source, item, "a weight") for item in arguments[::2]]
        for item, weight in zip(arguments[::2], weights, strict=True):
            if weight < 0:
                raise self._refuse(item, f"the weight {weight} is negative; a symphony is long only")
        total = sum(weights, Decimal(0))
        if abs(total - 1) > SHARES_TOLERANCE:
            hint = "; weights are fractions of 1, not percent" if total > Decimal("1.5") else ""
            raise self._refuse(form, f"the weights add up to {total}, not to 1{hint}")
        children: list[Node] = []
        for item in arguments[1::2]:
            children.append((yield item))
        # What adds up to 1 but for the digits of a float is taken as written, so that a printed tree reads back as the same tree.
        scale = Decimal(1) if abs(total - 1) <= NOISE else total
        shares = tuple(float(weight / scale) for weight in weights)
        key = ("specified", shares, tuple(child.index for child in children))
        return self._intern(form, key, lambda index: WeightSpecified(index, shares, tuple(children)))

    def _weight_inverse_volatility(self, form: Form) -> Building:
        arguments = form.items[1:]
        window = DEFAULT_VOLATILITY_WINDOW
        if arguments and (isinstance(arguments[0], Word) or (isinstance(arguments[0], Form) and arguments[0].opening == "{")):
            window = parse_window(self._source, arguments[0], "window")
            arguments = arguments[1:]
        else:
            self._warn(form, f"weight-inverse-volatility without a window; {window} is used")
        if not arguments:
            raise self._arity(form, "a window and its children in brackets")
        children = yield from self._children(form, arguments)
        key = ("inverse-volatility", window, tuple(child.index for child in children))
        return self._intern(form, key, lambda index: WeightInverseVolatility(index, window, children))

    def _if(self, form: Form) -> Building:
        if len(form.items) != 4:
            raise self._arity(form, "a condition, a branch and an else branch")
        condition = self._condition(form.items[1])
        branches: list[Node] = []
        for item in form.items[2:]:
            children = yield from self._children(form, [item])
            branches.append(children[0] if len(children) == 1 else self._equal(item, children))
        then, otherwise = branches
        return self._intern(form, ("if", condition, then.index, otherwise.index), lambda index: If(index, condition, then, otherwise))

    def _filter(self, form: Form) -> Building:
        if len(form.items) < 4:
            raise self._arity(form, "a ranking such as (rsi {:window 10}), (select-top N) or (select-bottom N), and its children")
        ranking, selection = form.items[1:3]
        measured = self._measure(ranking, with_symbol=False)
        select, count = self._selection(selection)
        children = yield from self._children(form, form.items[3:])
        if measured.measure.is_price_level:
            groups = [child for child in children if not isinstance(child, Asset)]
            if groups:
                raise self._refuse(
                    ranking,
                    f"{measured.measure.name} is a price level and cannot rank what has no price of its own"
                    f" (the child of line {self._line_of(groups[0])}); rank by a return, a deviation, a drawdown or rsi",
                )
        key = ("filter", measured.measure, select, count, tuple(child.index for child in children))
        return self._intern(
            form, key, lambda index: Filter(index, measured.measure, "top" if select == "select-top" else "bottom", count, children)
        )

    # --- parts of nodes ---

    def _children(self, parent: Form, items: Sequence[Item]) -> Generator[Item, Node, tuple[Node, ...]]:
        children: list[Node] = []
        for item in items:
            for inner in self._items_of(item):
                children.append((yield inner))
        if not children:
            raise self._refuse(parent, f"{parent.items[0]} has no children")
        return tuple(children)

    def _items_of(self, item: Item) -> list[Item]:
        """Return the items of a vector with the vectors inside it opened, or the item itself."""
        flat: list[Item] = []
        waiting = [item]
        while waiting:
            current = waiting.pop()
            if isinstance(current, Form) and current.opening == "[":
                waiting.extend(reversed(current.items))
            else:
                flat.append(current)
        return flat

    def _equal(self, item: Item, children: tuple[Node, ...]) -> Node:
        key = ("equal", tuple(child.index for child in children))
        return self._intern(item, key, lambda index: WeightEqual(index, children))

    def _condition(self, item: Item) -> Condition:
        condition = self._conditions.get(item) if isinstance(item, Form) else None
        if condition is None:
            condition = self._new_condition(item)
            assert isinstance(item, Form), "only a form is a condition"
            self._conditions[item] = condition
        return condition

    def _new_condition(self, item: Item) -> Condition:
        if not isinstance(item, Form) or item.opening != "(" or not item.items:
            raise self._refuse(item, f"expected a comparison such as (> (rsi ...) 79), found {item}")
        head = item.items[0]
        if not isinstance(head, Word):
            raise self._refuse(head, f"expected a comparison operator, found {head}")
        comparator = COMPARATORS.get(head.text)
        if comparator is None:
            raise refuse_word(self._source, head, "comparison", COMPARATORS)
        if len(item.items) != 3:
            raise self._arity(item, "two sides")
        return Condition(comparator, self._operand(item.items[1]), self._operand(item.items[2]))

    def _operand(self, item: Item) -> Operand:
        if isinstance(item, Form):
            measured = self._measure(item, with_symbol=True)
            assert measured.symbol is not None
            return Reading(measured.measure, measured.symbol)
        return Number(float(parse_number(self._source, item, "a number or an indicator such as (rsi ...)")))

    def _measure(self, item: Item, *, with_symbol: bool) -> MeasureForm:
        measured = measure_form(self._source, item, with_symbol=with_symbol)
        for remark in measured.remarks:
            self._warn(item, remark)
        return measured

    def _selection(self, item: Item) -> tuple[str, int]:
        expected = "(select-top N) or (select-bottom N)"
        if not isinstance(item, Form) or item.opening != "(" or len(item.items) != 2 or not isinstance(item.items[0], Word):
            raise self._refuse(item, f"expected {expected}, found {item}")
        if item.items[0].text not in ("select-top", "select-bottom"):
            raise refuse_word(self._source, item.items[0], "selection", ("select-top", "select-bottom"))
        return item.items[0].text, parse_integer(self._source, item.items[1], "the number of children a filter keeps")

    # --- bookkeeping ---

    def _intern(self, item: Item, key: tuple[object, ...], make: Callable[[int], Node]) -> Node:
        known = self._known.get(key)
        if known is not None:
            return known
        node = make(len(self.nodes))
        self._known[key] = node
        self.nodes.append(node)
        self.places.append(item.place)
        return node

    def _line_of(self, node: Node) -> int:
        return self._source.line_and_column(self.places[node.index])[0]

    def _refuse(self, item: Item, message: str) -> SymphonyError:
        return self._source.refuse(item.place, message)

    def _arity(self, form: Form, takes: str) -> SymphonyError:
        return self._refuse(form, f"{form.items[0]} takes {takes}; found {len(form.items) - 1} arguments")

    def _warn(self, item: Item, message: str) -> None:
        self.warnings.append(warning_at(self._source, item, message))
