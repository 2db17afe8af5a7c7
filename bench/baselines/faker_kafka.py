"""Baseline of the generator: Faker and kafka-python, a record at a time, as most sample producers are written.

Prints events a second.
"""

import json
import random
import sys
import time

from faker import Faker
from kafka import KafkaProducer

bootstrap, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
fake = Faker()
producer = KafkaProducer(
    bootstrap_servers=bootstrap,
    acks="all",
    linger_ms=20,
    batch_size=1_000_000,
    key_serializer=str.encode,
    value_serializer=lambda event: json.dumps(event).encode(),
)
begun = time.monotonic()
for _ in range(count):
    user = fake.random_int(1, 10_000)
    event = {
        "user_id": user,
        "track_id": fake.random_int(1, 114_000),
        "event_timestamp": fake.date_time_this_month().isoformat() + "Z",
        "event_type": "like" if random.random() < 0.01 else "streaming",
    }
    producer.send(topic, key=str(user), value=event)
producer.flush()
print(count / (time.monotonic() - begun))
