// Goal: the connections to an address are counted as long as they are open, whoever the address was forgotten by.
// Method: two workers' counts on memory that they share.

import { expect, test } from "vitest";
import { InFlight, inFlightMemory } from "../../src/channel/in-flight.ts";
import { parseAddress } from "../../src/model/address.ts";
import { Endpoint } from "../../src/routing/backend-state.ts";
import { CountedConnections } from "../../src/worker/counted-connections.ts";

const address = parseAddress("10.0.0.1:80");

test("an address that comes back has what is open there from before", () => {
  const memory = inFlightMemory(2, 4);
  const [here, there] = [0, 1].map((slot) => {
    const inFlight = new InFlight(memory, slot);
    inFlight.assign([[address, 1]], []);
    return new CountedConnections(inFlight);
  });
  const [before, after, other] = [0, 1, 2].map(() => new Endpoint(address));
  const opened = (counted: CountedConnections, endpoint: Endpoint, by: number): void => {
    endpoint.connections += by;
    counted.changed(endpoint);
  };
  expect(here!.reserve(before!, 2)).toBe(true);
  opened(here!, before!, 1);
  expect(here!.reserve(after!, 2)).toBe(true);
  opened(here!, after!, 1);
  expect(here!.reserve(after!, 2)).toBe(false);
  // What ends of the old does not end the new.
  opened(here!, before!, -1);
  expect(there!.reserve(other!, 1)).toBe(false);
  expect(there!.reserve(other!, 2)).toBe(true);
  opened(here!, after!, -1);
  opened(there!, other!, 0);
  expect(here!.reserve(after!, 1)).toBe(true);
});
