"""How a program uses the package; type checkers read this, and nothing runs it."""

import asyncio
from typing import assert_type

import airlane


def calls(url: str, data: airlane.Result) -> list[str]:
    with airlane.connect(url, token="t", timeout=30) as client:
        receipt = client.put("eu/prices", data, "append", durability="ephemeral", ttl="1h", idempotency_key="k", bytes_expected=1 << 30, ticket={"ttl": 60})
        assert_type(receipt, airlane.Receipt)
        assert_type(receipt.version, int)
        result = client.get(receipt)
        assert_type(result, airlane.Result)
        for batch in result:
            assert_type(batch, airlane.Batch)
        ticket = client.ticket("eu/prices", columns=["price"], rows=(0, 10), reads=1, ttl=60)
        assert_type(client.get(ticket).num_rows, int)
        client.contract_bind("eu/*", "market_data", mode="coerce")
        assert_type(client.contract_show("market_data"), str)
        try:
            client.drop("eu/prices")
        except airlane.NotFoundError as error:
            assert_type(error.code, str)
            assert_type(error.hint, str | None)
        return [info.name for info in client.ls("eu/")]


async def awaited(url: str, data: airlane.Batches) -> None:
    async with await airlane.connect_async(url) as client:
        assert_type(client, airlane.AsyncClient)
        assert_type(await client.put("eu/prices", data, mode="replace"), airlane.Receipt)
        assert_type(await client.ls("eu/"), airlane.Listing)
        result = await client.get("eu/prices")
        async for batch in result:
            assert_type(batch, airlane.Batch)


def served() -> None:
    with airlane.serve() as server:
        asyncio.run(awaited(server.url, airlane.connect(server.url).get("x").head()))
