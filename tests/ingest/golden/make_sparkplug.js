// Sparkplug B by the npm package sparkplug-payload 1.0.3.
const fs = require('fs');
const sp = require('sparkplug-payload').get('spBv1.0');
const unit = (u) => ({ engUnit: { type: 'String', value: u } });
const at = 1795399200000;
const payload = {
  timestamp: at, seq: 7,
  metrics: [
    { name: 'bdSeq', type: 'UInt64', value: 3 },
    { name: 'Node Control/Rebirth', type: 'Boolean', value: false },
    { name: 'E1', type: 'Double', value: 1234.5, timestamp: at, properties: unit('kWh') },
    { name: 'hall/E2/PT15M', type: 'Float', value: 12.3, timestamp: at - 900000, properties: unit('kWh') },
    { name: 'G1/PT1H/m3', type: 'Int32', value: -4, timestamp: at - 3600000 },
    { name: 'C1/P1D/t', type: 'UInt64', value: 18, timestamp: at - 86400000 },
    { name: 'W1', type: 'Double', value: null, timestamp: at, properties: unit('t') },
    { alias: 9, type: 'Double', value: 1.0, timestamp: at },
    { name: 'state', type: 'String', value: 'running', timestamp: at },
  ],
};
fs.writeFileSync('sparkplug.bin', sp.encodePayload(payload));
console.log(JSON.stringify(sp.decodePayload(sp.encodePayload(payload))).slice(0, 1500));
