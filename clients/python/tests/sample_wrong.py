"""What type checkers have to refuse, each line once."""

import airlane

client = airlane.connect(1)
client.put("name", 5)
client.put("name", b"", mode="upsert")
client.get(None)
client.drop(name=1)
client.ticket("name", rows="0-10")
