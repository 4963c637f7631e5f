"""Writes tables by Spark and reads them again; prints a line of JSON for each behaviour."""
import json

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
spark.sparkContext.setLogLevel("WARN")
# The column that files are partitioned by comes last when they are read.
rows = spark.range(5_000).selectExpr("id", "concat('row ', id) AS text", "id % 5 AS part").coalesce(1)
root = spark._jvm.org.apache.hadoop.fs.Path("s3a://demo/tables")
fs = root.getFileSystem(spark._jsc.hadoopConfiguration())


def report(name, ok, what=""):
    print(json.dumps({"Name": name, "Failure": "" if ok else "it is not so: %s" % what}), flush=True)


def keys():
    found, files = [], fs.listFiles(root, True)
    while files.hasNext():
        found.append(files.next().getPath().toString())
    return found


def read(kind):
    return spark.read.schema(rows.schema).format(kind).load("s3a://demo/tables/" + kind)


def write(kind, mode):
    rows.write.format(kind).partitionBy("part").mode(mode).save("s3a://demo/tables/" + kind)


for kind in "parquet", "orc", "csv", "json":
    write(kind, "overwrite")
    report(kind + "IsReadAgain", read(kind).exceptAll(rows).count() == 0 and read(kind).count() == 5_000)
    report(kind + "IsFiltered", read(kind).where("part = 3").count() == 1_000)

for mode, want in ("append", 10_000), ("overwrite", 5_000):
    write("parquet", mode)
    report(mode + "Works", read("parquet").count() == want, read("parquet").count())

left = [k for k in keys() if "_temporary" in k or "__magic" in k]
report("NothingTemporaryIsLeft", not left, left)
moved = spark._jvm.org.apache.hadoop.fs.Path("s3a://demo/moved")
report("ADirectoryIsRenamed", fs.rename(root, moved) and not fs.exists(root))
report("ADirectoryIsDeleted", fs.delete(moved, True) and not fs.exists(moved))
spark.stop()
