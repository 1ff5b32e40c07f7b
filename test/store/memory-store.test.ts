// Goal: the reference store keeps the contract. It adds nothing to it.

import { MemoryStore } from "../../src/store/memory-store.ts";
import { describeStore } from "./store.contract.ts";

describeStore("MemoryStore", async (options) => new MemoryStore(options));
