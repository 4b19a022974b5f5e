// The reference contract (kvproto/conformance/CONTRACT.md) in C++17, with its standard library and
// read(2).
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

namespace
{

using Pair = std::pair<std::string, std::string>;
using Params = std::map<std::string, std::string>; // std::string compares as unsigned bytes: in the
                                                   // order that is due

constexpr std::size_t PIECE = 1 << 16;
constexpr std::uint32_t MAX_BYTES = 1 << 30;

struct Fault : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// stdin, tied to stdout where it matters: when the buffer is empty and read(2) might block.
class TiedInput : public std::streambuf
{
    std::vector<char> buffer_ = std::vector<char>(PIECE);

    int_type underflow() override
    {
        std::cout.flush();
        ssize_t n;
        do
            n = ::read(STDIN_FILENO, buffer_.data(), buffer_.size());
        while (n < 0 && errno == EINTR);
        if (n < 0)
            throw Fault(std::string("cannot read: ") + std::strerror(errno));
        setg(buffer_.data(), buffer_.data(), buffer_.data() + n);
        return n ? traits_type::to_int_type(*gptr()) : traits_type::eof();
    }
};

void tell(const char *tag, std::string_view text)
{
    std::string lines = tag;
    for (char c : text) {
        lines += c;
        if (c == '\n')
            lines += tag;
    }
    std::cerr << lines + '\n';
}

std::string read_bytes(std::streambuf &in, std::size_t size)
{
    std::string data;
    while (data.size() < size) {
        const auto had = data.size();
        data.resize(std::min(size, had + PIECE));
        const auto wanted = static_cast<std::streamsize>(data.size() - had);
        if (in.sgetn(&data[had], wanted) != wanted)
            throw Fault("truncated input: end of file where " + std::to_string(size) +
                        " bytes were due");
    }
    return data;
}

std::string read_item(std::streambuf &in)
{
    const auto bytes = read_bytes(in, 4);
    std::uint32_t size = 0;
    for (int i = 3; i >= 0; i--)
        size = size << 8 | static_cast<unsigned char>(bytes[static_cast<std::size_t>(i)]);
    if (size > MAX_BYTES)
        throw Fault("an item of " + std::to_string(size) + " bytes is over the limit");
    return read_bytes(in, size);
}

std::optional<Pair> read_pair(std::streambuf &in)
{
    if (in.sgetc() == std::char_traits<char>::eof())
        return std::nullopt;
    auto key = read_item(in);
    return Pair(std::move(key), read_item(in));
}

void write_u32(std::size_t n)
{
    const char bytes[] = {char(n), char(n >> 8), char(n >> 16), char(n >> 24)};
    std::cout.write(bytes, 4);
}

void write_pair(const std::string &key, const std::string &value)
{
    for (const auto *item : {&key, &value}) {
        write_u32(item->size());
        std::cout.write(item->data(), static_cast<std::streamsize>(item->size()));
    }
}

template <class Pairs> void write_list(const Pairs &pairs)
{
    write_u32(pairs.size());
    for (const auto &[key, value] : pairs)
        write_pair(key, value);
}

std::uint64_t to_number(const std::string &digits, const std::string &what)
{
    if (digits.empty() || digits.size() > 10 ||
        digits.find_first_not_of("0123456789") != digits.npos)
        throw Fault(what + " is no number of 1 to 10 digits");
    return std::stoull(digits);
}

std::uint64_t read_number(std::streambuf &in, char closing)
{
    std::string digits;
    for (;;) {
        const auto byte = read_bytes(in, 1)[0];
        if (byte == closing)
            return to_number(digits, "parameters: a size");
        if (digits.size() == 10)
            throw Fault("parameters: a size has more than 10 digits");
        digits += byte;
        to_number(digits, "parameters: a size");
    }
}

Params read_params(std::streambuf &in)
{
    const auto total = read_number(in, '\n');
    if (total > MAX_BYTES)
        throw Fault("parameters of " + std::to_string(total) + " bytes are over the limit");
    std::stringbuf entries(read_bytes(in, total), std::ios::in);
    Params params;
    const auto half = [&](char closing) {
        auto text = read_bytes(entries, read_number(entries, ' '));
        if (read_bytes(entries, 1)[0] != closing)
            throw Fault("parameters: an entry is not closed as it should be");
        return text;
    };
    while (entries.sgetc() != std::char_traits<char>::eof()) {
        auto name = half(' ');
        params.insert_or_assign(std::move(name), half('\n'));
    }
    return params;
}

const std::string &needed(const Params &params, const std::string &name)
{
    const auto found = params.find(name);
    if (found == params.end())
        throw Fault("the parameter " + name + " is missing");
    return found->second;
}

std::uint64_t number(const Params &params, const std::string &name)
{
    const auto n = to_number(needed(params, name), "the parameter " + name);
    if (n > UINT32_MAX)
        throw Fault("the parameter " + name + " is over 4294967295");
    return n;
}

std::string read_file(const std::string &name)
{
    if (name.empty() || name == "." || name == ".." ||
        name.find_first_of(std::string_view("/\0", 2)) != name.npos)
        throw Fault("not the plain name of a file: " + name);
    std::ifstream file(name, std::ios::binary);
    if (!file)
        throw Fault("cannot open " + name);
    return {std::istreambuf_iterator<char>(file), {}};
}

void run(bool is_map, std::streambuf &in)
{
    const auto params = read_params(in);
    const auto given = params.find("do");
    const std::string what = given == params.end() ? "echo" : given->second;
    const auto each = [&](const std::function<void(const Pair &)> &answer) {
        while (const auto pair = read_pair(in))
            answer(*pair);
    };
    const auto echo = [](const Pair &pair) { write_list(std::vector{pair}); };
    std::uint64_t index = 0;

    if (what == "echo" || (what == "hold" && is_map)) {
        each(echo);
    } else if (what == "fan") {
        each([n = number(params, "n")](const Pair &pair) {
            write_u32(n);
            for (std::uint64_t i = 0; i < n; i++)
                write_pair(pair.first, pair.second);
        });
    } else if (what == "sink") {
        each([&](const Pair &) {
            if (is_map)
                write_u32(0);
        });
    } else if (what == "params") {
        each([&](const Pair &) {
            if (is_map)
                write_list(params);
        });
        if (!is_map)
            write_list(params);
    } else if (what == "say") {
        each([&, text = needed(params, "text")](const Pair &pair) {
            tell("**<MSG> ", text + ' ' + std::to_string(index++));
            echo(pair);
        });
    } else if (what == "err") {
        each([&, text = needed(params, "text"), at = number(params, "at")](const Pair &pair) {
            if (index++ == at)
                throw Fault(text);
            echo(pair);
        });
    } else if (what == "file") {
        const auto name = needed(params, "name");
        each([list = std::vector{Pair(name, read_file(name))}](const Pair &) { write_list(list); });
    } else if (what == "hold") {
        std::vector<Pair> held;
        each([&](const Pair &pair) { held.push_back(pair); });
        write_list(held);
    } else {
        throw Fault("do=" + what + ": not a thing that the contract knows");
    }
}

} // namespace

int main(int argc, char **argv)
try {
    std::signal(SIGPIPE, SIG_IGN);
    std::ios::sync_with_stdio(false);
    std::cerr.tie(nullptr); // what is said in between flushes nothing
    std::cout.exceptions(std::ios::badbit | std::ios::failbit);
    const std::string mode = argc > 1 ? argv[argc - 1] : "";
    if (mode != "map" && mode != "reduce")
        throw Fault("the last argument is map or reduce, not '" + mode + "'");
    TiedInput in;
    try {
        run(mode == "map", in);
    } catch (const Fault &) {
        std::cout.flush();
        throw;
    }
    std::cout.flush();
    if (::close(STDOUT_FILENO) != 0)
        throw Fault(std::string("cannot close stdout: ") + std::strerror(errno));
    return 0;
} catch (const std::ios::failure &) {
    tell("**<ERR> ", "cannot write the answers");
    std::_Exit(1);
} catch (const std::exception &error) {
    tell("**<ERR> ", error.what());
    std::_Exit(1);
}
