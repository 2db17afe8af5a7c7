"""Baseline of the worker: confluent-kafka and psycopg's COPY in large batches, the fastest that is usual in Python.

Rows and offsets are not stored together, there are no dead letters and no audit. Prints rows a second.
"""

import json
import sys
import time
from datetime import datetime, timezone

import psycopg
from confluent_kafka import Consumer, TopicPartition

bootstrap, topic, partitions, url, table, count = sys.argv[1:]
partitions, count = int(partitions), int(count)
consumer = Consumer(
    {
        "bootstrap.servers": bootstrap,
        "group.id": "python-copy",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    }
)
consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
stored, begun = 0, None
with psycopg.connect(url) as connection, connection.cursor() as cursor:
    while stored < count:
        messages = consumer.consume(50_000, timeout=1.0)
        begun = begun or time.monotonic()
        created = datetime.now(timezone.utc)
        with cursor.copy(f"COPY {table} (user_id, track_id, event_timestamp, created_timestamp) FROM STDIN") as copy:
            for message in messages:
                event = json.loads(message.value())
                copy.write_row((event["user_id"], event["track_id"], event["event_timestamp"], created))
        connection.commit()
        consumer.commit(asynchronous=True)
        stored += len(messages)
print(stored / (time.monotonic() - begun))
