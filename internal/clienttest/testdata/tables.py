"""Writes tables by Spark and reads them again; prints a line of JSON for each behaviour."""
import json

from pyspark.sql import SparkSession

spark = SparkSession.builder.getOrCreate()
rows = spark.range(20_000).selectExpr("id", "id % 5 AS part", "concat('row ', id) AS text")
root = spark._jvm.org.apache.hadoop.fs.Path("s3a://demo/tables")
fs = root.getFileSystem(spark._jsc.hadoopConfiguration())


def report(name, ok, what=""):
    print(json.dumps({"Name": name, "Failure": "" if ok else "it is not so: %s" % what}), flush=True)


def keys():
    found, files = [], fs.listFiles(root, True)
    while files.hasNext():
        found.append(files.next().getPath().toString())
    return found


for kind in "parquet", "orc", "csv", "json":
    path = "s3a://demo/tables/" + kind
    rows.write.format(kind).partitionBy("part").mode("overwrite").save(path)
    read = spark.read.schema(rows.schema).format(kind).load(path)
    report(kind + "IsReadAgain", read.exceptAll(rows).count() == 0 and read.count() == 20_000)
    report(kind + "IsFiltered", read.where("part = 3").count() == 4_000)
    rows.write.format(kind).partitionBy("part").mode("append").save(path)
    n = spark.read.schema(rows.schema).format(kind).load(path).count()
    report(kind + "IsAppendedTo", n == 40_000, n)
    rows.write.format(kind).partitionBy("part").mode("overwrite").save(path)
    n = spark.read.schema(rows.schema).format(kind).load(path).count()
    report(kind + "IsOverwritten", n == 20_000, n)

left = [k for k in keys() if "_temporary" in k or "__magic" in k]
report("NothingTemporaryIsLeft", not left, left)
moved = spark._jvm.org.apache.hadoop.fs.Path("s3a://demo/moved")
report("ADirectoryIsRenamed", fs.rename(root, moved) and not fs.exists(root))
report("ADirectoryIsDeleted", fs.delete(moved, True) and not fs.exists(moved))
spark.stop()
