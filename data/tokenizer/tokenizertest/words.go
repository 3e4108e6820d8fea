package tokenizertest

var latin = []string{
	"the", "quick", "brown", "fox", "naïve", "café", "Straße", "œuvre", "Łódź", "İstanbul", "ıssız", "ſhort",
	"coöperate", "Ångström", "señor", "façade", "Škoda", "žlutý", "Việt", "Ελλάδα", "λόγος", "Москва", "ёлка",
	"Україна", "ﬁnance", "ǅungla", "ﬀ", "don", "they", "I", "we", "O'Brien", "rock'n'roll", "x", "HTTPServer",
	"camelCaseWord", "snake_case_word", "e-mail", "U.S.A.", "http://example.org/a?b=c&d=%20e", "user@example.org",
}

var english = []string{
	"thee", "love", "king", "answer", "question", "number", "total", "how", "many", "eggs", "does", "she", "sell",
	"every", "morning", "market", "dollars", "therefore", "because", "understanding", "internationalization",
	"Janet", "Weng", "earns", "minutes", "hours", "then", "what", "is", "a", "of", "in", "to", "and",
}

var contractions = []string{
	"'s", "'t", "'re", "'ve", "'m", "'ll", "'d", "'S", "'T", "'RE", "'Ve", "'M", "'LL", "'lL", "'D", "'ſ", "'x", "'", "''", "’s", "'st", "'l", "'r",
}

var stops = []string{".", ",", "!", "?", ";", ":", "...", "…", " —", ")", "\"", "!?", ".\n", "?\r\n", "\n\n"}

var separators = []string{" ", "\n", "\n\n", "\r\n", "\t", "", "<think>", "</think>", "<|endoftext|>", "<｜User｜>", "<｜Assistant｜>", "  <mark>  ", "<|endoftext|", "｜DSML｜"}

var cjkStops = []string{"。", "，", "、", "「", "」", "！", "・", " ", "", "\n", "ー", "〜", "《", "》", "a", "1"}

var emoji = []string{
	"😀", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "1️⃣", "#️⃣", "❤️", "☎", "✔︎", "🧑🏿‍🚀", "🫠", "🤷🏻‍♀️", "™", "©", "→", "∑", "€100", "a😀b", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "\u200D", "\uFE0F",
}

var blank = []string{
	" ", "  ", "   ", "          ", "\t", "\t\t", "\n", "\n\n\n", "\r", "\r\n", "\r\n\r\n", "\v", "\f", "\u0085", "\u00A0", "\u1680", "\u2000\u2001",
	"\u2003", "\u2009", "\u2028", "\u2029", "\u202F", "\u205F", "\u3000", "\u200B", "\u180E", "\uFEFF", " \n ", "\n \n", " \u00A0 ", "x",
}

var marked = []string{
	"e\u0301", "a\u0308\u0304", "Ạ\u0302", "ệ", "क्षत्रिय", "हिन्दी", "ภาษาไทย", "ที่", "தமிழ்", "မြန်မာ", "ខ្មែរ", "བོད་སྐད", "Z̷̢͝a̸͎̕l̶͓̾g̵͔̈o̴̲͐", "\u0301", "\u0301a", " \u0301", "각", "한국어",
}

var rightToLeft = []string{
	"שלום", "עולם", "בְּרֵאשִׁית", "مرحبا", "العربية", "مُحَمَّد", "فارسی", "۱۲۳", "٤٥٦", "اردو", "\u200Fabc\u200E", "؟", "،", "ﷺ", "לְךָ",
}

var code = []string{
	"func main() {\n\tfmt.Println(\"Hello, 世界\")\n}\n",
	"for (int i = 0; i < n; ++i) {\r\n    a[i] += b[i]*2;\r\n}\r\n",
	"def f(x):\n    \"\"\"Doc.\"\"\"\n    return {k: v for k, v in x.items() if v != None}\n\n\n",
	"SELECT * FROM t WHERE a='x' AND b<>\"y\";--comment\n",
	"<div class=\"a-b\">&nbsp;<br/></div>\n",
	"if err != nil {\n\t\treturn fmt.Errorf(\"x: %w\", err)\n\t}\n",
	"#include <stdio.h>\n/* ***** */\n#define X(a,b) ((a)>>(b))\n",
	"{\"id\": 128803, \"content\": \"\\u4f60\\n\", \"ok\": true}\n",
	"$ ls -la | grep '^d' && echo $HOME >> ~/.bashrc\n",
	"\\begin{align} x_{i+1} &= \\frac{a}{b} \\\\ \\end{align}\n",
	"        \n    pass\n  \n",
}
