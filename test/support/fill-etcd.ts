// Writes beside the router's back: over etcd's JSON gateway, any bytes, with none of our code.

const putsPerTransaction = 120;

/** `key`: one character for each byte. */
export async function putRaw(endpoint: string, key: string, value: Buffer): Promise<void> {
  await post(endpoint, "put", { key: base64(key), value: value.toString("base64") });
}

/** `count` routes as a hand would write them: "filler-N.example.com" to service "http-a". */
export async function fillEtcd(endpoint: string, prefix: string, count: number): Promise<void> {
  for (let n = 0; n < count; n += putsPerTransaction) {
    const success = Array.from({ length: Math.min(putsPerTransaction, count - n) }, (_, i) => {
      const name = `filler-${n + i}`;
      const value = JSON.stringify({
        http: { domain: `${name}.example.com` },
        service: "http-a",
      });
      return {
        requestPut: { key: base64(`${prefix}/routes/${name}`), value: base64(value) },
      };
    });
    await post(endpoint, "txn", { success });
  }
}

function base64(text: string): string {
  return Buffer.from(text, "latin1").toString("base64");
}

async function post(endpoint: string, call: string, body: object): Promise<void> {
  const answer = await fetch(`${endpoint}/v3/kv/${call}`, {
    method: "POST",
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`etcd refuses ${call}: ${answer.status} ${await answer.text()}`);
  await answer.arrayBuffer();
}
