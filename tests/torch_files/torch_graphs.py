"""Graphs of modules as nngraph makes and saves them: `nn.gModule`."""

from tests.formats.t7_writer import LuaTable
from tests.formats.t7_writer import Object
from tests.formats.t7_writer import lua_list
from tests.torch_files.numpy_torch import forward


class Node:
    """A module applied to other nodes, or a joint without one."""

    def __init__(self, module, *inputs, **data):
        self.module = module
        self.inputs = list(inputs)
        self.data = LuaTable(
            annotations=LuaTable(_debugLabel="[modules/x.lua]:1"),
            mapindex=LuaTable(),
            **data,
        )
        if module is not None:
            self.data["module"] = module
        # The order of the inputs, in both directions: tables are the keys.
        for index, node in enumerate(inputs, start=1):
            self.data["mapindex"][index] = node.data
            self.data["mapindex"][node.data] = index

    def add(self, node):
        self.inputs.append(node)
        self.data["mapindex"][1] = node.data
        self.data["mapindex"][node.data] = 1


def graph_module(build, inputs, output):
    """Makes an `nn.gModule`, with both of its graphs and all their nodes."""
    source = Node(None)
    if len(inputs) == 1:
        inputs[0].add(source)
    else:
        joint = Node(None, source, nSplitOutputs=len(inputs))
        for index, node in enumerate(inputs, start=1):
            node.add(Node(None, joint, selectindex=index))
    end = Node(None, output)

    # Depth first from the end, inputs first: the order of the modules.
    order = []
    waiting = [(end, iter(end.inputs))]
    seen = {id(end)}
    while waiting:
        node, rest = waiting[-1]
        for child in rest:
            if id(child) not in seen:
                seen.add(id(child))
                waiting.append((child, iter(child.inputs)))
                break
        else:
            order.append(node)
            waiting.pop()

    backward = _graph(order, lambda node: node.inputs)
    consumers = {id(node): [] for node in order}
    for node in order:
        for child in node.inputs:
            consumers[id(child)].append(node)
    forward_graph = _graph(order, lambda node: consumers[id(node)])
    module = build.container(
        "gModule", *(node.module for node in order if node.module is not None)
    )
    forward_nodes = forward_graph.fields["nodes"]
    module.fields.update(
        bg=backward,
        fg=forward_graph,
        innode=forward_nodes[1],
        outnode=backward.fields["nodes"][len(order)],
        forwardnodes=lua_list(
            *(forward_nodes[index + 1] for index in range(len(order)))
        ),
        nInputs=len(inputs),
        verbose=False,
    )
    module.run = lambda values: _run(order, source, values)
    return module


def _graph(order, children_of):
    nodes = {
        id(node): Object(
            "nngraph.Node",
            LuaTable(data=node.data, visited=False, marked=False, id=index),
        )
        for index, node in enumerate(order, start=1)
    }
    edges = []
    for node in order:
        children = LuaTable()
        for index, child in enumerate(children_of(node), start=1):
            children[index] = nodes[id(child)]
            children[nodes[id(child)]] = index
            ends = {"from": nodes[id(node)], "to": nodes[id(child)]}
            edges.append(Object("graph.Edge", LuaTable(ends)))
        nodes[id(node)].fields["children"] = children
    listed = lua_list(*nodes.values())
    listed.update({node: index for index, node in list(listed.items())})
    return Object("graph.Graph", LuaTable(nodes=listed, edges=lua_list(*edges)))


def _run(order, source, values):
    results = {id(source): values}
    for node in order:
        if node is source:
            continue
        inputs = [results[id(child)] for child in node.inputs]
        value = inputs[0] if len(inputs) == 1 else inputs
        if "selectindex" in node.data:
            value = value[node.data["selectindex"] - 1]
        if node.module is not None:
            value = forward(node.module, value)
        results[id(node)] = value
    return results[id(order[-1])]
