/* The reference contract (kvproto/conformance/CONTRACT.md) in Java 17, with its own library alone. */

import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.util.*;

public final class Contract {
    private static final int PIECE = 1 << 16;
    private static final long MAX_BYTES = 1L << 30;

    private record Pair(byte[] key, byte[] value) {}

    /** What is wrong, for the ERR line: one character a byte. */
    private static final class Fault extends Exception {
        Fault(String text) {
            super(text);
        }
    }

    private interface Answer {
        void to(Pair pair, long index) throws IOException, Fault;
    }


    // Not System.out, which keeps its errors to itself.
    private final OutputStream out = new BufferedOutputStream(new FileOutputStream(FileDescriptor.out), PIECE);

    /** stdin; below its buffer, whenever that has to be filled, stdout is flushed first. */
    private final InputStream in = new BufferedInputStream(new FileInputStream(FileDescriptor.in) {
        @Override
        public int read(byte[] buffer, int from, int size) throws IOException {
            out.flush();
            return super.read(buffer, from, size);
        }

        @Override
        public int available() { // a buffer that is filled by what is there needs no second look
            return 0;
        }
    }, PIECE);

    private final boolean isMap;
    private SortedMap<byte[], byte[]> params;

    private Contract(boolean isMap) {
        this.isMap = isMap;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.ISO_8859_1);
    }

    private static void tell(String tag, String text) {
        byte[] lines = bytes("**<" + tag + "> " + text.replace("\n", "\n**<" + tag + "> ") + "\n");
        System.err.write(lines, 0, lines.length);
        System.err.flush();
    }

    private static byte[] take(InputStream in, long size) throws IOException, Fault {
        byte[] data = in.readNBytes((int) size); // grows with what comes
        if (data.length < size) {
            throw new Fault("truncated input: " + data.length + " bytes of " + size);
        }
        return data;
    }

    private byte[] item() throws IOException, Fault {
        long size = 0;
        byte[] bytes = take(in, 4);
        for (int i = 3; i >= 0; i--) {
            size = size << 8 | bytes[i] & 0xff;
        }
        if (size > MAX_BYTES) {
            throw new Fault("an item of " + size + " bytes is over the limit");
        }
        return take(in, size);
    }

    private boolean atEnd() throws IOException {
        in.mark(1);
        if (in.read() < 0) {
            return true;
        }
        in.reset();
        return false;
    }

    private void each(Answer answer) throws IOException, Fault {
        for (long index = 0; !atEnd(); index++) {
            byte[] key = item();
            answer.to(new Pair(key, item()), index);
        }
    }

    private void writeU32(long n) throws IOException {
        for (int shift = 0; shift < 32; shift += 8) {
            out.write((int) (n >> shift));
        }
    }

    private void writePair(byte[] key, byte[] value) throws IOException {
        for (byte[] item : new byte[][] {key, value}) {
            writeU32(item.length);
            out.write(item);
        }
    }

    private void echo(Pair pair) throws IOException {
        writeU32(1);
        writePair(pair.key, pair.value);
    }

    private static long number(String digits, String what) throws Fault {
        if (!digits.matches("[0-9]{1,10}")) {
            throw new Fault(what + " is no number of 1 to 10 digits");
        }
        return Long.parseLong(digits);
    }

    private static long readNumber(InputStream in, char closing) throws IOException, Fault {
        StringBuilder digits = new StringBuilder();
        for (char c; (c = (char) take(in, 1)[0]) != closing; ) {
            number(digits.append(c).toString(), "parameters: a size");
        }
        return number(digits.toString(), "parameters: a size");
    }

    private static byte[] half(InputStream entries, char closing) throws IOException, Fault {
        long size = readNumber(entries, ' ');
        if (size > MAX_BYTES) {
            throw new Fault("parameters: an entry goes beyond the total");
        }
        byte[] half = take(entries, size);
        if (take(entries, 1)[0] != closing) {
            throw new Fault("parameters: an entry is not closed as it should be");
        }
        return half;
    }

    private void readParams() throws IOException, Fault {
        long total = readNumber(in, '\n');
        if (total > MAX_BYTES) {
            throw new Fault("parameters of " + total + " bytes are over the limit");
        }
        params = new TreeMap<>(Arrays::compareUnsigned);
        InputStream entries = new ByteArrayInputStream(take(in, total));
        while (entries.available() > 0) {
            byte[] name = half(entries, ' ');
            params.put(name, half(entries, '\n'));
        }
    }

    private String needed(String name) throws Fault {
        byte[] value = params.get(bytes(name));
        if (value == null) {
            throw new Fault("the parameter " + name + " is missing");
        }
        return text(value);
    }

    private long neededNumber(String name) throws Fault {
        long n = number(needed(name), "the parameter " + name);
        if (n >> 32 != 0) {
            throw new Fault("the parameter " + name + " is over 4294967295");
        }
        return n;
    }

    private static byte[] readFile(byte[] name) throws IOException, Fault {
        String path = new String(name, StandardCharsets.UTF_8);
        if (List.of("", ".", "..").contains(path) || path.contains("/") || path.contains("\0")) {
            throw new Fault("not the plain name of a file: " + text(name));
        }
        return Files.readAllBytes(Path.of(path));
    }

    private void writeParams() throws IOException {
        writeU32(params.size());
        for (var entry : params.entrySet()) {
            writePair(entry.getKey(), entry.getValue());
        }
    }

    private void run() throws IOException, Fault {
        readParams();
        String what = params.containsKey(bytes("do")) ? needed("do") : "echo";
        switch (what.equals("hold") && isMap ? "echo" : what) {
            case "echo" -> each((pair, index) -> echo(pair));
            case "fan" -> {
                long n = neededNumber("n");
                each((pair, index) -> {
                    writeU32(n);
                    for (long i = 0; i < n; i++) {
                        writePair(pair.key, pair.value);
                    }
                });
            }
            case "sink" -> each((pair, index) -> {
                if (isMap) {
                    writeU32(0);
                }
            });
            case "params" -> {
                each((pair, index) -> {
                    if (isMap) {
                        writeParams();
                    }
                });
                if (!isMap) {
                    writeParams();
                }
            }
            case "say" -> {
                String text = needed("text");
                each((pair, index) -> {
                    tell("MSG", text + " " + index);
                    echo(pair);
                });
            }
            case "err" -> {
                String text = needed("text");
                long at = neededNumber("at");
                each((pair, index) -> {
                    if (index == at) {
                        throw new Fault(text);
                    }
                    echo(pair);
                });
            }
            case "file" -> {
                byte[] name = bytes(needed("name"));
                Pair answer = new Pair(name, readFile(name));
                each((pair, index) -> echo(answer));
            }
            case "hold" -> {
                List<Pair> held = new ArrayList<>();
                each((pair, index) -> held.add(pair));
                writeU32(held.size());
                for (Pair pair : held) {
                    writePair(pair.key, pair.value);
                }
            }
            default -> throw new Fault("do=" + what + ": not a thing that the contract knows");
        }
    }

    public static void main(String[] args) {
        String mode = args.length > 0 ? args[args.length - 1] : "";
        try {
            if (!mode.equals("map") && !mode.equals("reduce")) {
                throw new Fault("the last argument is map or reduce, not '" + mode + "'");
            }
            Contract contract = new Contract(mode.equals("map"));
            try {
                contract.run();
            } finally {
                contract.out.flush();
            }
            contract.out.close();
        } catch (Fault | IOException | RuntimeException | OutOfMemoryError error) {
            tell("ERR", String.valueOf(error.getMessage()));
            System.exit(1);
        }
    }
}
