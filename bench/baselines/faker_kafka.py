"""Baselines of the generator: Faker and kafka-python, a record at a time, sent without waiting.

The event is either `numbers` (two ids, a time and a word: as little as it can be) or `person` (a new fake user, with
name, address, age and country, and what they heard: as sample producers of listening events are written).
Prints events a second.
"""

import json
import random
import sys
import time
from datetime import datetime, timezone

from faker import Faker
from kafka import KafkaProducer

bootstrap, topic, count, kind = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
fake = Faker()
songs = [
    {
        "artists": fake.name(),
        "album_name": fake.sentence(3),
        "track_name": fake.sentence(3),
        "duration_ms": random.randint(60_000, 400_000),
        "track_genre": fake.word(),
    }
    for _ in range(1_000)
]


def numbers():
    return {
        "user_id": fake.random_int(1, 10_000),
        "track_id": fake.random_int(1, 114_000),
        "event_timestamp": fake.date_time_this_month().isoformat() + "Z",
        "event_type": "like" if random.random() < 0.01 else "streaming",
    }


def person():
    return {
        "user": {
            "name": fake.name(),
            "address": fake.address(),
            "age": str(random.randint(18, 80)),
            "nationality": fake.country(),
        },
        "song": random.choice(songs),
        "played_at": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S"),
    }


make = {"numbers": numbers, "person": person}[kind]
producer = KafkaProducer(
    bootstrap_servers=bootstrap,
    acks="all",
    linger_ms=20,
    batch_size=1_000_000,
    value_serializer=lambda event: json.dumps(event).encode(),
)
begun = time.monotonic()
for _ in range(count):
    producer.send(topic, value=make())
producer.flush()
print(count / (time.monotonic() - begun))
