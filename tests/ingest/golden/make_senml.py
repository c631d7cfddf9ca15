# SenML by the PyPI package senml 0.1.0: python make_senml.py > senml.json
import json

from senml import SenMLDocument, SenMLMeasurement

base = SenMLMeasurement(name="hall/", time=1795399200, unit="kWh")
doc = SenMLDocument(
    base=base,
    measurements=[
        SenMLMeasurement(name="E1", value=1234.5),
        SenMLMeasurement(name="E2/PT15M", time=-900, value=12.25),
        SenMLMeasurement(name="G1/PT1H", time=-3600, value=17, unit="m3"),
        SenMLMeasurement(name="P1", sum=7200000, unit="W"),
    ],
)
print(json.dumps(doc.to_json()))
