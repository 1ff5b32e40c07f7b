// grpc.reflection.v1 and v1alpha, answered from the descriptors that `buf build` made: the original
// files with everything they import, so that a client can resolve every type it meets.
//
// Knows the image and the questions. Does not know grpc-js.

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import type {
  ServerReflectionRequest,
  ServerReflectionResponse,
} from "../gen/grpc/reflection/v1/reflection.ts";

type Answer = NonNullable<ServerReflectionResponse["messageResponse"]>;

/** grpc.StatusCode.NOT_FOUND. */
const notFound = 5;

export class Reflection {
  readonly #index: DescriptorIndex;

  /** `image`: a FileDescriptorSet. */
  constructor(image: Uint8Array) {
    this.#index = new DescriptorIndex(fromBinary(FileDescriptorSetSchema, image).file);
  }

  answer(request: ServerReflectionRequest): ServerReflectionResponse {
    return {
      validHost: request.host,
      originalRequest: request,
      messageResponse: this.#answerOf(request.messageRequest) ?? {
        $case: "errorResponse",
        value: { errorCode: notFound, errorMessage: "not found" },
      },
    };
  }

  #answerOf(question: ServerReflectionRequest["messageRequest"]): Answer | undefined {
    const index = this.#index;
    switch (question?.$case) {
      case "listServices": {
        const service = index.services.map((name) => ({ name }));
        return { $case: "listServicesResponse", value: { service } };
      }
      case "fileByFilename":
        return this.#files(question.value);
      case "fileContainingSymbol":
        return this.#files(index.fileOfSymbol.get(question.value));
      case "fileContainingExtension": {
        const { containingType, extensionNumber } = question.value;
        return this.#files(index.extensions.get(containingType)?.get(extensionNumber));
      }
      case "allExtensionNumbersOfType": {
        const baseTypeName = question.value;
        if (!index.fileOfSymbol.has(baseTypeName)) return undefined;
        const extensionNumber = [...(index.extensions.get(baseTypeName)?.keys() ?? [])];
        return { $case: "allExtensionNumbersResponse", value: { baseTypeName, extensionNumber } };
      }
      default:
        return undefined;
    }
  }

  #files(name: string | undefined): Answer | undefined {
    const files = name === undefined ? [] : this.#index.withImports(name);
    if (files.length === 0) return undefined;
    return { $case: "fileDescriptorResponse", value: { fileDescriptorProto: files } };
  }
}

/** Which file declares what. */
class DescriptorIndex {
  readonly services: string[] = [];
  readonly fileOfSymbol = new Map<string, string>();
  /** Extended type -> field number -> file. */
  readonly extensions = new Map<string, Map<number, string>>();
  readonly #files = new Map<
    string,
    { readonly imports: readonly string[]; readonly bytes: Buffer }
  >();

  constructor(files: readonly FileDescriptorProto[]) {
    for (const file of files) this.#add(file);
  }

  /** The file and everything it imports, itself first; [] when it is not known. */
  withImports(name: string): Buffer[] {
    const wanted = new Map<string, Buffer>();
    const visit = (fileName: string): void => {
      const file = this.#files.get(fileName);
      if (file === undefined || wanted.has(fileName)) return;
      wanted.set(fileName, file.bytes);
      for (const next of file.imports) visit(next);
    };
    visit(name);
    return [...wanted.values()];
  }

  #add(file: FileDescriptorProto): void {
    const bytes = Buffer.from(toBinary(FileDescriptorProtoSchema, file));
    this.#files.set(file.name, { imports: file.dependency, bytes });
    const scope = file.package === "" ? "" : `${file.package}.`;
    for (const type of file.messageType) this.#addMessage(type, scope, file.name);
    for (const type of file.enumType) this.#addEnum(type, scope, file.name);
    for (const service of file.service) {
      const name = scope + service.name;
      this.services.push(name);
      this.fileOfSymbol.set(name, file.name);
      for (const method of service.method) {
        this.fileOfSymbol.set(`${name}.${method.name}`, file.name);
      }
    }
    for (const extension of file.extension) {
      this.fileOfSymbol.set(scope + extension.name, file.name);
      const extendee = extension.extendee.replace(/^\./, "");
      const byNumber = this.extensions.get(extendee) ?? new Map<number, string>();
      this.extensions.set(extendee, byNumber.set(extension.number, file.name));
    }
  }

  #addMessage(type: DescriptorProto, scope: string, fileName: string): void {
    const name = scope + type.name;
    this.fileOfSymbol.set(name, fileName);
    for (const field of type.field) this.fileOfSymbol.set(`${name}.${field.name}`, fileName);
    for (const oneof of type.oneofDecl) this.fileOfSymbol.set(`${name}.${oneof.name}`, fileName);
    for (const nested of type.enumType) this.#addEnum(nested, `${name}.`, fileName);
    for (const nested of type.nestedType) this.#addMessage(nested, `${name}.`, fileName);
  }

  #addEnum(type: EnumDescriptorProto, scope: string, fileName: string): void {
    this.fileOfSymbol.set(scope + type.name, fileName);
    for (const value of type.value) this.fileOfSymbol.set(scope + value.name, fileName);
  }
}
