"""Baseline of the worker: PySpark Structured Streaming, Kafka source, JDBC sink, with the settings that made it fastest.

`append` writes rows; `merge` groups a batch in Spark, writes it to a staging table and merges that in the database.
Neither is exactly once: a batch that is repeated after a crash is written again. Prints a line of JSON: rows a second from the
first batch's beginning, seconds to the first row, CPU seconds of the JVM and of Python, and the peak of memory in MB.
"""

import glob
import json
import os
import sys
import time

import psycopg
from pyspark.sql import SparkSession
from pyspark.sql.functions import col, count, current_timestamp, date_trunc, from_json, lit

mode, bootstrap, topic, host, port, user, password, jars, checkpoint, table, total = sys.argv[1:]
started = time.monotonic()
jdbc = f"jdbc:postgresql://{host}:{port}/postgres?reWriteBatchedInserts=true"
options = {"user": user, "password": password, "driver": "org.postgresql.Driver", "batchsize": "10000"}
spark = (
    SparkSession.builder.master("local[*]")
    .config("spark.jars", ",".join(glob.glob(f"{jars}/*.jar")))
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.driver.memory", "2g")
    .config("spark.ui.enabled", "false")
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
events = (
    spark.readStream.format("kafka")
    .option("kafka.bootstrap.servers", bootstrap)
    .option("subscribe", topic)
    .option("startingOffsets", "earliest")
    .option("kafka.isolation.level", "read_committed")
    .option("maxOffsetsPerTrigger", "500000")
    .load()
    .select(from_json(col("value").cast("string"), "user_id INT, track_id INT, event_timestamp TIMESTAMP, event_type STRING").alias("e"))
    .select("e.*")
)
first_begun, first_stored = None, None


def append(batch, _):
    rows = batch.select("user_id", "track_id", "event_timestamp", current_timestamp().alias("created_timestamp"))
    rows.write.format("jdbc").options(url=jdbc, dbtable=table, **options).mode("append").save()


def merge(batch, _):
    rows = batch.groupBy((col("track_id") % 114).alias("genre"), date_trunc("hour", "event_timestamp").alias("hour")).agg(
        count(lit(1)).alias("plays")
    )
    staging = f"{table}_staging"
    rows.write.format("jdbc").options(url=jdbc, dbtable=staging, truncate="true", **options).mode("overwrite").save()
    with psycopg.connect(host=host, port=port, user=user, password=password, dbname="postgres") as connection:
        connection.execute(
            f"INSERT INTO {table} AS t SELECT * FROM {staging}"
            " ON CONFLICT (genre, hour) DO UPDATE SET plays = t.plays + excluded.plays"
        )


def timed(batch, number):
    global first_begun, first_stored
    first_begun = first_begun or time.monotonic()
    (append if mode == "append" else merge)(batch, number)
    first_stored = first_stored or time.monotonic()


query = events.writeStream.foreachBatch(timed).option("checkpointLocation", checkpoint).trigger(availableNow=True).start()
query.awaitTermination()
ended = time.monotonic()


def of_process(pid):
    """CPU seconds, and the peak of resident memory in MB."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(") ", 1)[1].split()
    peak = next(line for line in open(f"/proc/{pid}/status") if line.startswith("VmHWM"))
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"), int(peak.split()[1]) / 1024


jvm = spark.sparkContext._gateway.proc.pid
used = [of_process(pid) for pid in (jvm, os.getpid())]
print(
    json.dumps(
        {
            "rate": int(total) / (ended - first_begun),
            "first_row": first_stored - started,
            "cpu": sum(cpu for cpu, _ in used),
            "memory": sum(memory for _, memory in used),
        }
    )
)
